import CLinux

/// A socket for messages to the services of the host: the service manager, the journal.
///
/// Never waits: a service that does not keep up gets EAGAIN made of it, not a daemon that stands still.
package struct ServiceSocket: ~Copyable {
    private let socket: FileDescriptor

    package init() throws(Errno) { socket = try FileDescriptor(checking: clx_datagram_socket()) }

    /// Sends one message to the socket at a path, or of a name after `@`, with at most 32 descriptors.
    ///
    /// EAGAIN when the receiver does not keep up, ECONNREFUSED or ENOENT when there is none, EMSGSIZE, and EINVAL for
    /// what is no path.
    package func send(_ bytes: [UInt8], to path: String, passing descriptors: [Int32] = []) throws(Errno) {
        let result = unsafe bytes.withUnsafeBytes { buffer in
            guard let start = buffer.baseAddress else { return -EINVAL }
            return unsafe clx_datagram_send(
                socket.rawValue,
                path,
                start,
                buffer.count,
                descriptors,
                descriptors.count,
            )
        }
        try Errno.check(result)
    }
}
