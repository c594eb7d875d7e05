import CLinux
import Model

/// A TCP connection that is being opened.
package final class StreamClient {
    /// The connection; what is written to it early is kept until it is open.
    package let connection: StreamConnection

    /// Starts to connect; ENETUNREACH and the like when there is no way to the peer.
    package init(to peer: SocketAddress, from sockets: InternetSockets = InternetSockets()) throws(Errno) {
        var endpoint = peer.endpoint
        let socket = try sockets.take(InternetSockets.Kind(isV6: !peer.address.isV4, isStream: true))
        try Errno.check(unsafe clx_stream_connect(socket.rawValue, &endpoint))
        connection = StreamConnection(socket, peer: peer)
    }

    /// Whether the connection is open; to be asked when the descriptor is writable.
    ///
    /// ECONNREFUSED, ETIMEDOUT and the like when it will never be.
    package func finishConnect() throws(Errno) -> Bool {
        try Errno.check(clx_stream_is_connected(connection.descriptor)) > 0
    }
}
