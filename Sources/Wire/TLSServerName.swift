package import Model

/// The server that a ClientHello asks for in clear text.
package enum TLSServerName: Hashable, Sendable {
    /// There is no `server_name`.
    case absent
    /// Exactly one host name, and it is a name.
    case name(DomainName)
    /// What is there is no name, or not one: two names, one of another type, an address, a dot at the end; and where it is.
    case unreadable(Range<Int>)
}

extension TLSClientHello {
    /// The server name, from the message that the hello was read from; allocates the name.
    ///
    /// RFC 6066 §3 has it without a dot at its end, and no address in it.
    package func serverName(in message: RawSpan) -> TLSServerName {
        guard let serverNames else { return .absent }
        guard let hostName else { return .unreadable(serverNames) }
        let labels = message.copy(hostName).split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard let name = DNSName(labels: labels)?.domain else { return .unreadable(hostName) }
        return .name(name)
    }
}
