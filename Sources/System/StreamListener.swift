import CLinux
import Model

/// A TCP socket that others connect to; IPv6 takes no IPv4.
package final class StreamListener {
    /// How many may wait to be taken up.
    package static let backlog: Int32 = 256

    /// Where the socket is bound, with the port that the kernel chose when none was given.
    package let address: SocketAddress
    private let socket: FileDescriptor

    /// Listens, also where connections of a predecessor still linger (SO_REUSEADDR).
    package init(
        _ address: SocketAddress,
        backlog: Int32 = StreamListener.backlog,
        from sockets: InternetSockets = InternetSockets(),
    ) throws(Errno) {
        var endpoint = address.endpoint
        let socket = try sockets.take(InternetSockets.Kind(isV6: !address.address.isV4, isStream: true))
        try Errno.check(unsafe clx_stream_listen(socket.rawValue, &endpoint, backlog))
        self.address = try SocketAddress(of: socket.rawValue)
        self.socket = socket
    }

    /// Has another socket take the place of this one, under the same number and at the same address.
    ///
    /// An event loop must be told of it anew. Who waited is turned away.
    package func renew(from sockets: InternetSockets) throws(Errno) {
        let fresh = try sockets.take(InternetSockets.Kind(isV6: !address.address.isV4, isStream: true))
        try Errno.check(clx_take_place(descriptor, fresh.rawValue))
        var endpoint = address.endpoint
        try Errno.check(unsafe clx_stream_listen(descriptor, &endpoint, Self.backlog))
    }

    /// For the event loop: readable when somebody waits.
    package var descriptor: Int32 { socket.rawValue }

    /// The next connection; nil when nobody waits.
    ///
    /// With EMFILE and ENFILE the connection goes on waiting: a loop that is told of it again and again must look away
    /// until a descriptor is free.
    package func accept() throws(Errno) -> StreamConnection? {
        var peer = clx_endpoint()
        let result = unsafe clx_accept_from(descriptor, &peer)
        if result == -EAGAIN { return nil }
        return StreamConnection(try FileDescriptor(checking: result), peer: SocketAddress(peer))
    }
}
