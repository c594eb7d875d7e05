/// Why bytes are not a packet that may be judged; whoever asked denies it.
package enum PacketError: Error, Hashable, Sendable {
    /// The capture ends inside a header that is needed.
    case truncated
    /// The version is neither 4 nor 6.
    case version
    /// A header says that it is shorter than it can be, or longer than the packet.
    case headerLength
    /// The packet says that it is shorter than its headers, or its UDP length does not fit.
    case length
    /// An IPv4 option has an impossible length.
    case option
    /// More IPv6 extension headers than any honest program sends.
    case tooManyHeaders
}

extension PacketError: CustomStringConvertible {
    /// A sentence without its full stop.
    package var description: String {
        switch self {
        case .truncated: "the capture ends inside a header"
        case .version: "neither IPv4 nor IPv6"
        case .headerLength: "a header's length is impossible"
        case .length: "the packet's length is impossible"
        case .option: "an IPv4 option's length is impossible"
        case .tooManyHeaders: "more than \(NetworkHeader.extensionLimit) IPv6 extension headers"
        }
    }
}
