import CLinux
import Model

/// A UDP socket that speaks to one peer, from a random port of the kernel's choice.
///
/// The kernel hands over only what comes from the peer's address and port.
package final class DatagramClient {
    /// The most bytes of a datagram that is read.
    package static let size = 4096
    /// How many that are too long are passed over in one call.
    private static let round = 32

    package let peer: SocketAddress
    private let socket: FileDescriptor

    /// Connects a socket; ENETUNREACH and the like when there is no way to the peer.
    package init(to peer: SocketAddress, from sockets: InternetSockets = InternetSockets()) throws(Errno) {
        var endpoint = peer.endpoint
        self.peer = peer
        socket = try sockets.take(InternetSockets.Kind(isV6: !peer.address.isV4, isStream: false))
        try Errno.check(unsafe clx_datagram_connect(socket.rawValue, &endpoint))
    }

    /// For the event loop: readable when a datagram or an error waits.
    package var descriptor: Int32 { socket.rawValue }

    /// The port that the kernel chose; 0 when it cannot be told.
    package var localPort: UInt16 { (try? SocketAddress(of: descriptor))?.port ?? 0 }

    /// Sends one datagram.
    ///
    /// What ICMP said of an earlier one is thrown instead, and so is a full buffer (EAGAIN).
    package func send(_ bytes: [UInt8]) throws(Errno) {
        let result = unsafe bytes.withUnsafeBytes { buffer in
            guard let start = buffer.baseAddress else { return 0 }
            return unsafe clx_send(socket.rawValue, start, buffer.count)
        }
        try Errno.check(result)
    }

    /// The next datagram; nil when none waits.
    ///
    /// One that is longer than 4096 bytes is dropped. ECONNREFUSED when ICMP said that nobody listens there.
    package func receive() throws(Errno) -> [UInt8]? {
        for _ in 0..<Self.round {
            var length = 0
            let bytes = unsafe [UInt8](unsafeUninitializedCapacity: Self.size) { buffer, count in
                guard let start = buffer.baseAddress else { return }
                length = unsafe clx_receive_datagram(socket.rawValue, start, Self.size)
                count = Swift.min(Swift.max(0, length), Self.size)
            }
            if length == -Int(EAGAIN) { return nil }
            try Errno.check(length)
            if length <= Self.size { return bytes }
        }
        return nil
    }
}
