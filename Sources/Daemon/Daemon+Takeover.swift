internal import Broker
internal import Model
internal import Netfilter
internal import Record
internal import Ruleset
internal import System

extension Daemon {
    /// Awaits the first flights that an earlier daemon awaited: nothing of them has left the host.
    ///
    /// Connections whose beginning it did not write down end.
    func awaitFlights() {
        let begun = ahead.left.beginnings.map { (FlowKey($0), $0.initial) }
        let initials = Dictionary(begun) { _, last in last }
        for connection in all() where connection.transport == .tcp && connection.isInspecting {
            let (key, sender, now) = (FlowKey(connection), opener(of: connection), Clock.now())
            if let initial = initials[key], let sender {
                perform(broker.resume(key, initial: initial, of: sender, at: now))
            } else {
                perform(broker.endUnawaited(key, of: sender, at: now))
            }
        }
    }

    /// Judges what every program has open already, and ends what does not pass: it was opened before any daemon ran, or while
    /// the table was gone, or the policy has become another one since.
    ///
    /// What is connecting only just now is judged by its next packet, and so is whatever cannot be told here.
    func judgeOpen(_ message: String) {
        let inbound = inboundEnds()
        for transport in [Transport.tcp, .udp] {
            for socket in list(transport) where socket.remotePort != 0 && socket.inode != 0 {
                // On loopback it is judged at the receiver, at its next packet, and by the resolver, question by question.
                guard socket.local != socket.remote, !socket.remote.isLoopback, socket.remotePort != 53 else {
                    continue
                }
                guard let path = path(of: socket.cgroup) else { continue }
                judgeOpen(socket, path, isArrival: inbound.contains(socket), message)
            }
        }
    }

    private func judgeOpen(_ socket: SocketInfo, _ path: String, isArrival: Bool, _ message: String) {
        func connection(withProcess: Bool) -> OpenConnection {
            OpenConnection(
                holder: facts(socket, path, uid: socket.uid, withProcess: withProcess),
                local: Destination(address: socket.local, port: socket.localPort, transport: socket.transport),
                remote: Destination(address: socket.remote, port: socket.remotePort, transport: socket.transport),
                isArrival: isArrival,
            )
        }
        // Who holds it is looked for only when that matters: most may go on.
        let now = Clock.now()
        guard broker.mustEnd(connection(withProcess: false)),
            let event = broker.takeOver(connection(withProcess: true), message, at: now)
        else { return }
        perform([.record(event)])
        sockets.destroy(socket)
    }

    /// What the other end has opened, as far as the kernel still knows.
    private struct InboundEnds {
        /// As conntrack has it.
        var stamped: [Connection] = []
        /// The ports that somebody listens at: a connection from one of them was accepted there.
        var listening: Set<UInt16> = []

        func contains(_ socket: SocketInfo) -> Bool {
            if socket.transport == .tcp, listening.contains(socket.localPort) { return true }
            return stamped.contains { $0.transport == socket.transport && $0.isReverse(of: socket) }
        }
    }

    private func inboundEnds() -> InboundEnds {
        // TCP_LISTEN of include/net/tcp_states.h.
        let listeners = (try? sockets.list(.tcp, states: 1 << 10)) ?? []
        return InboundEnds(
            stamped: all().filter { UInt8(truncatingIfNeeded: $0.mark) == Stamp.State.inbound.rawValue },
            listening: Set(listeners.map(\.localPort)),
        )
    }
}

extension FlowKey {
    fileprivate init(_ beginning: AheadFile.Beginning) {
        self.init(local: beginning.local, localPort: beginning.localPort, destination: beginning.remote)
    }
}
