import CLinux

/// A TCP connection that is being opened.
package final class StreamClient {
    /// The connection; what is written to it early is kept until it is open.
    package let connection: StreamConnection

    /// Starts to connect; ENETUNREACH and the like when there is no way to the peer.
    package init(to peer: SocketAddress) throws(Errno) {
        var endpoint = peer.endpoint
        let socket = try FileDescriptor(checking: unsafe clx_stream_connect(&endpoint))
        connection = StreamConnection(socket, peer: peer)
    }

    /// Whether the connection is open; to be asked when the descriptor is writable.
    ///
    /// ECONNREFUSED, ETIMEDOUT and the like when it will never be.
    package func finishConnect() throws(Errno) -> Bool {
        try Errno.check(clx_stream_is_connected(connection.descriptor)) > 0
    }
}
