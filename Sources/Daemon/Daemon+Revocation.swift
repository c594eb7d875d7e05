internal import Broker
internal import Model
internal import Netfilter
internal import Ruleset
internal import System

extension Daemon {
    // TCP states of include/net/tcp_states.h that carry a connection: not SYN_SENT and SYN_RECV, which are judged by their
    // next packet and refused as if they had never begun; nor TIME_WAIT, CLOSE and LISTEN.
    private static let openStates: UInt32 = ~(1 << 2 | 1 << 3 | 1 << 12 | 1 << 6 | 1 << 7 | 1 << 10)

    /// Ends what an identity has open to a destination.
    ///
    /// The stamps are taken back first: whatever is sent from then on is judged anew. Then the sockets are destroyed, so
    /// that program and peer learn of it at once; where the kernel cannot, the next packet is refused with a reset.
    func cut(_ identity: Identity, generation: UInt8, _ destination: Destination) {
        let open = list(identity)
        for connection in open where connection.judged == destination && !connection.isUnproved {
            connections.restamp(connection, mark: Stamp(identity, generation: generation, .new).mark)
        }
        let tracked = TrackedConnections(open)
        for socket in list(destination.transport)
        where tracked.remote(of: socket) == destination && owner(socket) == identity {
            sockets.destroy(socket)
        }
    }

    /// Ends what an identity has open and its policy no longer allows; its generation was raised already, so that what is
    /// missed here is judged at its next packet.
    func recheck(_ identity: Identity) {
        // What was never seen has nothing open.
        guard broker.isSeen(identity) else { return }
        // An old connection entry with the number that the new generation has would pass for a new one.
        let stale = broker.assignment(identity).stamp(.new).mark
        let before = list(identity)
        for connection in before
        where connection.mark & Stamp.generationMask == stale && !connection.isUnproved {
            connections.restamp(connection, mark: stale)
        }
        guard !before.isEmpty else { return }
        let tracked = TrackedConnections(before)
        for transport in [Transport.tcp, .udp] {
            for socket in list(transport) where socket.remotePort != 0 && owner(socket) == identity {
                let mayGoOn: Bool?
                let remote = tracked.remote(of: socket)
                let arrival = tracked.arrived(at: socket)
                if arrival != nil {
                    mayGoOn = broker.mayGoOn(
                        identity,
                        from: socket.remote,
                        port: socket.localPort,
                        transport: transport
                    )
                } else if socket.local == socket.remote || remote.address.isLoopback || socket.remotePort == 53 {
                    // Judged at the receiver, at its next packet, or by the resolver, question by question.
                    continue
                } else {
                    mayGoOn = broker.mayGoOn(identity, to: remote)
                }
                guard mayGoOn == false else { continue }
                // What was refused already has its event.
                let connection = arrival ?? tracked.opened(by: socket)
                if connection?.isUnproved != true { tellEnd(of: socket, remote, isArrival: arrival != nil) }
                sockets.destroy(socket)
            }
        }
    }

    /// Records that a connection ends because the policy is another one: no packet of it comes any more that could say so.
    private func tellEnd(of socket: SocketInfo, _ remote: Destination, isArrival: Bool) {
        guard let place = place(of: socket.cgroup) else { return }
        let connection = openConnection(socket, place, remote, isArrival: isArrival, withProcess: true)
        let message = "it was open when the policy became another one"
        guard let event = broker.takeOver(connection, message, at: Clock.now()) else { return }
        perform([.record(event)])
    }

    /// Takes the stamps off the connections of sockets whose cgroup belongs to another identity now.
    func unstamp(_ ids: Set<UInt64>) {
        let sockets = [Transport.tcp, .udp].flatMap(list).filter {
            ids.contains(place(of: $0.cgroup)?.known.id ?? $0.cgroup)
        }
        guard !sockets.isEmpty else { return }
        let open = Set(sockets.map(Ends.init(ofLocal:)))
        let all = all()
        for connection in all
        where !connection.isUnproved && (open.contains(Ends(connection)) || open.contains(Ends(connection).turned)) {
            connections.restamp(connection, mark: 0)
        }
        // Whose address others have translated on the way in.
        let tracked = TrackedConnections(all)
        for arrival in sockets.compactMap(tracked.arrived)
        where !arrival.isUnproved && !open.contains(Ends(arrival).turned) {
            connections.restamp(arrival, mark: 0)
        }
    }

    func unstampAll() throws(NetfilterError) {
        for connection in try connections.list(mark: 0, mask: 0) where connection.mark != 0 && !connection.isUnproved {
            connections.restamp(connection, mark: 0)
        }
    }

    private func list(_ identity: Identity) -> [Connection] {
        asked { () throws(NetfilterError) in try connections.list(mark: identity.mark, mask: Stamp.identityMask) }
    }

    func all() -> [Connection] {
        asked { () throws(NetfilterError) in try connections.list(mark: 0, mask: 0) }
    }

    func list(_ transport: Transport) -> [SocketInfo] {
        asked { () throws(NetfilterError) in
            try sockets.list(transport, states: transport == .tcp ? Self.openStates : .max)
        }
    }

    /// What the kernel lists; when it does not, nothing, and all that is open is looked at again later.
    private func asked<Entry>(_ list: () throws(NetfilterError) -> [Entry]) -> [Entry] {
        do throws(NetfilterError) {
            return try list()
        } catch {
            if error.isPassing { noteTrouble(error) } else { note(error, "looking for what is open") }
            return []
        }
    }

    func owner(_ socket: SocketInfo) -> Identity? {
        place(of: socket.cgroup).map { broker.identity(path: $0.known.path, uid: socket.uid).identity }
    }
}

extension FlowKey {
    /// As the packets of a connection are asked about: after others have translated its destination.
    init(_ connection: Connection) {
        self.init(local: connection.source, localPort: connection.sourcePort, destination: connection.judged)
    }
}
