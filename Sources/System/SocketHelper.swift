import CLinux

/// Makes TCP and UDP sockets for a daemon that may make none, and does nothing else: it neither sends nor receives, and
/// needs no capability.
package final class SocketHelper {
    private final class Client {
        let socket: FileDescriptor
        var registration: Registration?
        init(_ socket: consuming FileDescriptor) { self.socket = socket }
    }

    /// The daemon, and the one that takes its place.
    private static let clientLimit = 4

    private let loop: EventLoop
    private let listener: FileDescriptor
    private var clients: [Int32: Client] = [:]

    /// Serves those who connect to a listening socket (SOCK_SEQPACKET), which decides who may.
    package init(_ loop: EventLoop, listener: consuming FileDescriptor) throws(Errno) {
        self.loop = loop
        self.listener = listener
        _ = try loop.add(self.listener.rawValue, .read) { [unowned self] _ in greet() }
    }

    /// Listens at a path for its own user; what is left of a helper that is gone is removed.
    package static func listen(at path: String) throws(Errno) -> FileDescriptor {
        try UnixSocket.makeWay(at: path)
        return try FileDescriptor(checking: unsafe clx_messages_listen(path))
    }

    private func greet() {
        guard let accepted = try? UnixSocket.accept(on: listener.rawValue) else { return }
        let client = Client(accepted)
        guard clients.count < Self.clientLimit else { return }
        clients[client.socket.rawValue] = client
        client.registration = try? loop.add(client.socket.rawValue, .read) { [unowned self, unowned client] _ in
            if !serve(client) { end(client) }
        }
        if client.registration == nil { end(client) }
    }

    private func end(_ client: Client) {
        if let registration = client.registration { loop.remove(registration) }
        clients[client.socket.rawValue] = nil
    }

    /// Answers one request; false when the client is gone, or asks for something else.
    private func serve(_ client: Client) -> Bool {
        var bytes = [UInt8](repeating: 0, count: SocketRequest.size + 1)
        var passed = [Int32](repeating: -1, count: Int(CLX_PASSED_MAX))
        var count: Int32 = 0
        var pid: Int32 = 0
        let socket = client.socket.rawValue
        let length = unsafe clx_message_receive(socket, &bytes, bytes.count, false, &passed, &count, &pid)
        if length == -Int(EAGAIN) { return true }
        // Nobody has anything to pass to the helper, with an empty message neither.
        for descriptor in passed.prefix(Int(count)) { _ = clx_close(descriptor) }
        guard length > 0, let request = SocketRequest(bytes.prefix(length)) else { return false }
        var made: [Int32] = []
        defer { for descriptor in made { _ = clx_close(descriptor) } }
        while made.count < request.count {
            let descriptor = clx_internet_socket(request.kind.isV6, request.kind.isStream)
            guard descriptor >= 0 else { break }
            made.append(descriptor)
        }
        let answer = SocketRequest(kind: request.kind, count: made.count).bytes
        return unsafe clx_message_send(socket, answer, answer.count, made, made.count) >= 0
    }
}
