import Model
package import System

/// The control socket of the daemon.
///
/// Its file is open to everybody (0666): who may do what is decided for each call, by the credentials and the cgroup of
/// the caller, and a user who is refused should be told so. At most 64 clients; when another comes, the one that has
/// been idle the longest goes, first among those of the user with the most, so that nobody can keep the operators out.
package final class ControlServer {
    package static let clientLimit = 64

    /// The path of the socket.
    package let path: String
    private let loop: EventLoop
    private let cgroups: CgroupTree
    private let introspection: Introspection
    private let handler: (ControlCall) -> Void
    private let listener: FileDescriptor
    private let lock: FileDescriptor
    private let identity: [UInt64]?
    private var registration: Registration?
    private var clients: [ObjectIdentifier: ControlConnection] = [:]
    private var ticks: UInt64 = 0

    /// Listens at a path, and hands the calls of `io.egressd` to the handler; introspection is answered here.
    ///
    /// A file beside the socket (`PATH.lock`) is locked, so that of two daemons that start at once one fails.
    package init(
        loop: EventLoop,
        path: String,
        cgroups: CgroupTree,
        version: String,
        handler: @escaping (ControlCall) -> Void,
    ) throws(ControlError) {
        self.loop = loop
        self.path = path
        self.cgroups = cgroups
        self.handler = handler
        introspection = Introspection(version: version)
        do throws(Errno) {
            try UnixSocket.makeFolder(of: path)
            lock = try FileDescriptor.open(path + ".lock", [.readWrite, .create, .noFollow])
            guard try lock.lock() else { throw Errno.addressInUse }
            try UnixSocket.makeWay(at: path)
            listener = try UnixSocket.listen(at: path, permissions: 0o666, backlog: 64)
        } catch {
            let reason = error == .addressInUse ? "another egressd answers there" : "\(error)"
            throw ControlError.cannotListen(path: path, reason: reason)
        }
        identity = UnixSocket.identity(of: path)
        do throws(Errno) {
            registration = try loop.add(listener.rawValue, .read) { [weak self] _ in self?.accept() }
        } catch {
            throw ControlError.cannotListen(path: path, reason: "\(error)")
        }
    }

    deinit { close() }

    /// Closes every client and the socket, and removes its file unless it is another's by now.
    package func close() {
        for client in clients.values { client.close() }
        guard let registration else { return }
        loop.remove(registration)
        self.registration = nil
        if UnixSocket.identity(of: path) == identity { UnixSocket.remove(path) }
    }

    /// How many clients are connected.
    package var clientCount: Int { clients.count }

    private func accept() {
        // A few at a time: the verdicts come first.
        for _ in 0..<16 {
            do throws(Errno) {
                guard let socket = try UnixSocket.accept(on: listener.rawValue) else { return }
                guard clients.count < Self.clientLimit || makeRoom() else { continue }
                let peer = try Peer(of: socket.rawValue, cgroups: cgroups)
                let client = try ControlConnection(socket, peer: peer, loop: loop, server: self)
                clients[ObjectIdentifier(client)] = client
            } catch {
                return pause()
            }
        }
    }

    /// Out of descriptors or memory: the connection that waits would be told again at once, for ever.
    private func pause() {
        guard let registration else { return }
        try? loop.change(registration, to: [])
        resumeSoon()
    }

    private func resumeSoon() {
        loop.schedule(after: .milliseconds(100)) { [weak self] in
            guard let self, let registration = self.registration else { return }
            // What is short now may be short still: without another try nobody would be answered again.
            do { try loop.change(registration, to: .read) } catch { resumeSoon() }
        }
    }

    /// Closes the client that has been idle the longest; false when every one waits for an answer.
    private func makeRoom() -> Bool {
        let idle = clients.values.filter { $0.current == nil }
        var counts: [UInt32: Int] = [:]
        for client in clients.values { counts[client.peer.uid, default: 0] += 1 }
        let rank = { (client: ControlConnection) in (-(counts[client.peer.uid] ?? 0), Int64(client.lastUse)) }
        guard let oldest = idle.min(by: { rank($0) < rank($1) }) else { return false }
        oldest.close()
        return true
    }

    func handle(_ call: ControlCall) {
        if !introspection.answers(call) { handler(call) }
    }

    func closed(_ client: ControlConnection) { clients[ObjectIdentifier(client)] = nil }

    func tick() -> UInt64 {
        ticks += 1
        return ticks
    }
}
