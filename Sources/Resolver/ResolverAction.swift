package import Wire

/// What the daemon is to do for the resolver, in the order given.
///
/// Every exchange that `send` or `connect` opens is ended by exactly one `close`.
package enum ResolverAction: Sendable {
    /// Send a datagram from a socket opened for it alone, so that its port is a random one of the kernel's.
    case send(exchange: UInt64, to: Upstream, bytes: [UInt8])
    /// Open a TCP connection, and tell of it when it stands.
    case connect(exchange: UInt64, to: Upstream)
    /// Write to a TCP connection; the two bytes of length (RFC 1035 §4.2.2) are in front.
    case write(exchange: UInt64, bytes: [UInt8])
    /// Close the exchange's socket.
    case close(exchange: UInt64)
    case answer(client: Resolver.Client, question: DNSQuestion, Answer)
}
