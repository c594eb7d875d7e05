internal import Broker
internal import Model
internal import Netfilter
internal import System
internal import Wire

/// Whose a packet, a socket or a connection is.
extension Daemon {
    func sender(
        of packet: Packet,
        uid: UInt32?,
        withProcess: Bool,
        mayGuess: Bool = true,
        mayBeBraked: Bool = false,
    ) -> Facts? {
        guard packet.transport.hasPorts else { return rawSender(of: packet, uid: uid, mayGuess: mayGuess) }
        let socket = sockets.find(
            packet.transport,
            local: packet.source,
            packet.sourcePort,
            remote: packet.destination,
            packet.destinationPort,
        )
        // A socket that no process holds has no user to be identified by.
        guard let socket, let place = place(of: socket.cgroup) else {
            return rawSender(of: packet, uid: uid, mayGuess: mayGuess)
        }
        let owner = socket.inode == 0 ? nil : socket.uid
        // Looking through the descriptors of who floods takes the longer the more it has open, and others wait meanwhile.
        let isBraked = mayBeBraked && broker.isBraked(cgroup: place.known.id, path: place.known.path, uid: owner)
        return facts(socket, place, uid: owner, withProcess: withProcess && !isBraked)
    }

    func receiver(of packet: Packet, withProcess: Bool) -> Facts? {
        let socket = sockets.find(
            packet.transport,
            local: packet.destination,
            packet.destinationPort,
            remote: packet.source,
            packet.sourcePort,
        )
        guard let socket, let place = place(of: socket.cgroup) else { return nil }
        return facts(socket, place, uid: socket.uid, withProcess: withProcess)
    }

    /// Who asks the resolver: the connection was redirected, and conntrack knows both its ends as the client's socket does.
    func asker(_ transport: Transport, _ own: SocketAddress, _ from: SocketAddress) -> Facts? {
        let reply = ((own.address, own.port), (from.address, from.port))
        return connections.find(transport: transport, replyFrom: reply.0, to: reply.1).flatMap(opener)
    }

    /// Whose socket opened a connection.
    func opener(of connection: Connection) -> Facts? {
        let socket = sockets.find(
            connection.transport,
            local: connection.source,
            connection.sourcePort,
            remote: connection.destination,
            connection.destinationPort,
        )
        guard let socket, let place = place(of: socket.cgroup) else { return nil }
        return facts(socket, place, uid: socket.inode == 0 ? nil : socket.uid, withProcess: true)
    }

    func facts(_ socket: SocketInfo, _ place: CgroupPlaces.Place, uid: UInt32?, withProcess: Bool) -> Facts {
        let known = place.known
        var facts = Facts(cgroup: known.id, path: known.path, uid: uid, isConnected: socket.isConnected)
        guard withProcess, socket.inode != 0 else { return facts }
        let holder = inspector.holder(
            ofSocketInode: socket.inode,
            cgroup: place.path,
            uid: uid,
            needCertain: broker.hasProgramRules(cgroup: known.id, path: known.path, uid: uid),
        )
        facts.process = holder.process
        facts.context = holder.context
        return facts
    }

    /// Who sends through a raw or a ping socket, which sock_diag does not find, and which may be closed already.
    func rawSender(of packet: Packet, uid: UInt32?, mayGuess: Bool) -> Facts? {
        guard let uid else { return nil }
        let number = packet.transport.number
        let known = broker.cgroupsByWorkload.values.flatMap { $0 }
        guard let holder = inspector.holderOfRawSocket(protocol: number, uid: uid, cgroups: known),
            let path = holder.process.cgroup, let place = CgroupPlaces.place(at: path, in: cgroups)
        else { return mayGuess ? broker.likelySender(uid: uid) : nil }
        return Facts(
            cgroup: place.known.id,
            path: place.known.path,
            uid: uid,
            isConnected: false,
            process: holder.process,
            context: holder.context,
        )
    }

    /// Learns every cgroup that has a process, of this user if there is one; whether any was new.
    ///
    /// For the first packet of a cgroup whose socket cannot be found: after this the kernel knows the sender itself.
    func learnCgroups(of uid: UInt32?) -> Bool {
        let now = Clock.now()
        guard now - lastScan >= .milliseconds(100) else { return false }
        lastScan = now
        let found = inspector.cgroups(ofUser: uid).compactMap { path in
            CgroupPlaces.place(at: path, in: cgroups).map { Facts(cgroup: $0.known.id, path: $0.known.path, uid: uid) }
        }
        let changes = broker.learn(all: found)
        perform([.change(changes)], flushing: false)
        return !changes.isEmpty
    }

    /// Where a cgroup lies, and what the rules take it for.
    func place(of id: UInt64) -> CgroupPlaces.Place? { cgroupPlaces.place(of: id, in: cgroups) }
}
