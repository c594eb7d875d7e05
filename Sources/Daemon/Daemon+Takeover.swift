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

    /// What every program has open.
    func openSockets() -> [SocketInfo] {
        [Transport.tcp, .udp].flatMap { list($0).filter { $0.remotePort != 0 && $0.inode != 0 } }
    }

    /// Judges what every program has open already, and ends what does not pass: it was opened before any daemon ran, or while
    /// the table was gone, or the policy has become another one since.
    ///
    /// What cannot be ended here, since no socket is connected to it, loses its stamp and is judged by its next packet.
    func judgeOpen(_ sockets: [SocketInfo], _ message: String) {
        let all = all()
        let tracked = TrackedConnections(all)
        let listening = listeningPorts()
        var unended: Set<UInt64> = []
        for socket in sockets {
            // A question for a name is judged by the resolver, one by one.
            guard socket.remotePort != 53, let place = place(of: socket.cgroup) else { continue }
            let arrival = tracked.arrived(at: socket)
            let found = Found(
                socket: socket,
                place: place,
                tracked: arrival ?? tracked.opened(by: socket),
                remote: tracked.remote(of: socket),
                isArrival: arrival != nil || socket.transport == .tcp && listening.contains(socket.localPort),
            )
            if !judgeOpen(found, message) { unended.insert(socket.id) }
        }
        // While the kernel cannot be asked, those that are not found are not gone.
        unendedSockets = troubles.isWaiting ? unended.union(unendedSockets) : unended
        judgeRest(of: all, besides: Set(sockets.map(Ends.init(ofLocal:))))
    }

    /// Takes the stamps off connections that the policy does not allow as it is now and that none of these sockets holds: one
    /// is still connecting, sends without being connected, or is closed; or they are forwarded.
    ///
    /// The generations of an earlier daemon go on, so their stamps would count whatever the policy has become.
    private func judgeRest(of connections: [Connection], besides held: Set<Ends>) {
        let assignments = broker.assignments.values.map { ($0.identity, $0) }
        let known = Dictionary(assignments) { first, _ in first }
        for connection in connections where !connection.isUnproved && connection.mark & Stamp.identityMask != 0 {
            let identity = Identity(number: UInt16(connection.mark >> 16))
            guard let assignment = known[identity] else {
                // Of a workload that is gone: another may get its number.
                if identity != .kernel { self.connections.restamp(connection, mark: 0) }
                continue
            }
            // A question for a name is judged by the resolver, one by one.
            let isQuestion = connection.destinationPort == 53
            let isCurrent = connection.mark & Stamp.generationMask == assignment.stamp(.new).mark
            guard isCurrent, !isQuestion, identity != .daemon else { continue }
            let ends = Ends(connection)
            guard !held.contains(ends), !held.contains(ends.turned) else { continue }
            let judged = connection.judged
            let mayGoOn =
                connection.isInbound
                ? broker.mayGoOn(
                    identity,
                    from: connection.source,
                    port: judged.port,
                    transport: judged.transport,
                )
                : broker.mayGoOn(identity, to: judged)
            if mayGoOn != true { self.connections.restamp(connection, mark: assignment.stamp(.new).mark) }
        }
    }

    /// A socket with a connection, and what is known of that.
    private struct Found {
        let socket: SocketInfo
        let place: CgroupPlaces.Place
        let tracked: Connection?
        let remote: Destination
        let isArrival: Bool

        var isLocal: Bool { socket.local == socket.remote || remote.address.isLoopback }
    }

    /// Judges one; false when it is to end and the kernel did not end it.
    private func judgeOpen(_ found: Found, _ message: String) -> Bool {
        let socket = found.socket
        func connection(withProcess: Bool) -> OpenConnection {
            openConnection(socket, found.place, found.remote, isArrival: found.isArrival, withProcess: withProcess)
        }
        // Who holds it is looked for only when that matters: most may go on.
        let identity = owner(socket)
        guard broker.mustEnd(connection(withProcess: false)) else {
            // Its cgroup was another identity's: what bears that stamp would be answered for in vain.
            if let tracked = found.tracked, !tracked.isUnproved, tracked.mark != 0,
                identity?.mark != tracked.mark & Stamp.identityMask
            {
                connections.restamp(tracked, mark: 0)
            }
            return true
        }
        if found.isLocal {
            // Only at the receiver both ends are known: it is judged there, and its next packet is as soon as it has no stamp.
            let isJudged = !found.isArrival && identity?.isWorkload == true
            if isJudged, broker.mustEnd(connection(withProcess: true)) { takeStamp(of: found.tracked, identity) }
            return true
        }
        if unendedSockets.contains(socket.id) {
            guard broker.mustEnd(connection(withProcess: true)) else { return true }
        } else {
            guard let event = broker.takeOver(connection(withProcess: true), message, at: Clock.now()) else {
                return true
            }
            perform([.record(event)])
        }
        // Where the kernel cannot destroy it, the next packet is refused.
        takeStamp(of: found.tracked, identity)
        return sockets.destroy(socket)
    }

    /// What a socket has open, as the broker judges it.
    func openConnection(
        _ socket: SocketInfo,
        _ place: CgroupPlaces.Place,
        _ remote: Destination,
        isArrival: Bool,
        withProcess: Bool,
    ) -> OpenConnection {
        OpenConnection(
            holder: facts(socket, place, uid: socket.uid, withProcess: withProcess),
            local: Destination(address: socket.local, port: socket.localPort, transport: socket.transport),
            remote: remote,
            isArrival: isArrival,
        )
    }

    /// Has the next packet of a connection judged anew.
    private func takeStamp(of connection: Connection?, _ identity: Identity?) {
        guard let connection, let identity, !connection.isUnproved else { return }
        connections.restamp(connection, mark: broker.assignment(identity).stamp(.new).mark)
    }

    /// The ports that somebody listens at: a connection from one of them was accepted there.
    private func listeningPorts() -> Set<UInt16> {
        // TCP_LISTEN of include/net/tcp_states.h.
        Set(((try? sockets.list(.tcp, states: 1 << 10)) ?? []).map(\.localPort))
    }
}

extension FlowKey {
    fileprivate init(_ beginning: AheadFile.Beginning) {
        self.init(local: beginning.local, localPort: beginning.localPort, destination: beginning.remote)
    }
}
