package import Model

/// What the first bytes of a connection are: all that is known of it when it is judged.
package struct Flight: Hashable, Sendable {
    /// The server that the first bytes name: TLS's server name, HTTP's host.
    package enum ServerName: Hashable, Sendable {
        /// None is given.
        case absent
        case name(DomainName)
        /// An address stands where a name belongs (`Host: 192.0.2.1`).
        case address(IPAddress)
        /// It is encrypted (ECH, draft-ietf-tls-esni; ESNI), and the one outside is not what will be used.
        case encrypted
        /// What stands there is no name, or there are two; as an excerpt, escaped and bounded.
        case unreadable(String)
    }

    /// What is spoken.
    package var application: Application
    /// The server that is asked for; `absent` where the protocol has none.
    package var serverName: ServerName = .absent
    /// The protocols offered inside TLS or QUIC (RFC 7301), escaped, at most 16.
    package var alpn: [String] = []
    /// The fingerprint of a TLS client (JA4, FoxIO, the part under BSD 3-Clause); nil without TLS.
    package var ja4: String?
    /// Why it cannot be allowed whatever the policy says: malformed, an unknown version; nil when it may be.
    package var flaw: String?
    /// The first bytes as a person can read them, escaped, at most 64 characters.
    package var excerpt: String = ""

    package init(_ application: Application) { self.application = application }
}
