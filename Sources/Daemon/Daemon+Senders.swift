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
        device: UInt32,
        withProcess: Bool,
        mayGuess: Bool = true,
        mayBeBraked: Bool = false,
    ) -> Facts? {
        guard packet.transport.hasPorts else { return rawSender(of: packet, uid: uid, mayGuess: mayGuess) }
        let socket =
            sockets.find(
                packet.transport,
                local: packet.source,
                packet.sourcePort,
                remote: packet.destination,
                packet.destinationPort,
                device: device,
            ) ?? (uid == nil ? nil : searchSender(of: packet))
        // A socket that no process holds has no user to be identified by.
        guard let socket, let place = place(of: socket.cgroup) else {
            return rawSender(of: packet, uid: uid, mayGuess: mayGuess)
        }
        let owner = socket.inode == 0 ? nil : socket.uid
        // Looking through the descriptors of who floods takes the longer the more it has open, and others wait meanwhile.
        let isBraked = mayBeBraked && broker.isBraked(cgroup: place.known.id, path: place.known.path, uid: owner)
        return facts(socket, place, uid: owner, withProcess: withProcess && !isBraked)
    }

    /// The socket of a packet that leaves by another device than its socket is bound to: to this host's own address, or
    /// where the program chose the device for this packet alone.
    ///
    /// At most ten times in 100 ms: nobody waits long for who sends such packets in a flood.
    private func searchSender(of packet: Packet) -> SocketInfo? {
        let now = Clock.now()
        if now - searches.since >= .milliseconds(100) { searches = (now, 0) }
        guard searches.count < 10 else { return nil }
        searches.count += 1
        return sockets.search(
            packet.transport,
            local: packet.source,
            packet.sourcePort,
            remote: packet.destination,
            packet.destinationPort,
        )
    }

    func receiver(of packet: Packet, device: UInt32, withProcess: Bool) -> Facts? {
        let socket = sockets.find(
            packet.transport,
            local: packet.destination,
            packet.destinationPort,
            remote: packet.source,
            packet.sourcePort,
            device: device,
        )
        guard let socket, let place = place(of: socket.cgroup) else { return nil }
        return facts(socket, place, uid: socket.uid, withProcess: withProcess)
    }

    /// Who asks the resolver: the connection was redirected, and conntrack knows both its ends as the client's socket does.
    func asker(_ transport: Transport, _ own: SocketAddress, _ from: SocketAddress) -> Facts? {
        let reply = ((own.address, own.port), (from.address, from.port))
        // A socket that is bound to another device than loopback does not reach the resolver.
        let asked = connections.find(transport: transport, replyFrom: reply.0, to: reply.1)
        return asked.flatMap { opener(of: $0, device: 1) }
    }

    /// Whose socket opened a connection; without `device` whichever it is bound to.
    func opener(of connection: Connection, device: UInt32? = nil) -> Facts? {
        let (transport, port) = (connection.transport, connection.sourcePort)
        let (remote, remotePort) = (connection.destination, connection.destinationPort)
        let (local, by) = (connection.source, device ?? 0)
        let found = sockets.find(transport, local: local, port, remote: remote, remotePort, device: by)
        let isAnothers = device == nil && found?.remotePort != remotePort
        let socket =
            isAnothers
            ? sockets.search(transport, local: local, port, remote: remote, remotePort) ?? found : found
        guard let socket, let place = place(of: socket.cgroup) else { return nil }
        return facts(socket, place, uid: socket.inode == 0 ? nil : socket.uid, withProcess: true)
    }

    func facts(_ socket: SocketInfo, _ place: CgroupPlaces.Place, uid: UInt32?, withProcess: Bool) -> Facts {
        let known = place.known
        var facts = Facts(cgroup: known.id, path: known.path, uid: uid, isConnected: socket.isConnected)
        facts.device = socket.device
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
