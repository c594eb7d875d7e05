import CLinux

/// A TCP socket that others connect to; IPv6 takes no IPv4.
package final class StreamListener {
    /// Where the socket is bound, with the port that the kernel chose when none was given.
    package let address: SocketAddress
    private let socket: FileDescriptor

    /// Listens, also where connections of a predecessor still linger (SO_REUSEADDR).
    package init(_ address: SocketAddress, backlog: Int32 = 256) throws(Errno) {
        var endpoint = address.endpoint
        let socket = try FileDescriptor(checking: unsafe clx_stream_listen(&endpoint, backlog))
        self.address = try SocketAddress(of: socket.rawValue)
        self.socket = socket
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
