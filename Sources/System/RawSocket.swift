/// A line of /proc/net/raw or its kin.
package struct RawSocket: Hashable {
    /// The local port: the protocol for raw sockets, the identifier of the echo for ICMP sockets.
    package let port: UInt8
    /// The owner.
    package let uid: UInt32
    /// As in `socket:[inode]`.
    package let inode: UInt64

    /// The lines of a file but its head.
    ///
    /// `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …`
    package static func all(in text: String) -> [RawSocket] {
        text.split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 9, let port = fields[1].split(separator: ":").last.flatMap({ UInt16($0, radix: 16) }),
                let uid = UInt32(fields[7]), let inode = UInt64(fields[9])
            else { return nil }
            return RawSocket(port: UInt8(truncatingIfNeeded: port), uid: uid, inode: inode)
        }
    }
}
