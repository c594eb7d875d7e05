/// What is spoken on a connection, told from its first bytes.
package enum Application: String, Hashable, Sendable, CaseIterable {
    /// TLS 1.0 to 1.3: a ClientHello (RFC 8446 §4.1.2).
    case tls
    /// QUIC version 1 or 2: an Initial packet (RFC 9000, RFC 9369).
    case quic
    /// HTTP/1.x with an origin-form target (RFC 9112 §3.2), or HTTP/2 with prior knowledge (RFC 9113 §3.3).
    case http
    /// HTTP that asks a proxy to go elsewhere: CONNECT, or a target with a scheme.
    case httpConnect = "http-connect"
    /// HTTP that asks to become WebSocket or another protocol (`Upgrade`).
    case websocket
    /// SSH: an identification string (RFC 4253 §4.2).
    case ssh
    /// SOCKS 4 or 5 (RFC 1928).
    case socks
    /// What miners speak to a pool: JSON lines with `mining.subscribe`, `mining.authorize`, Monero's `login`, ….
    case stratum
    case bittorrent
    /// A DNS message, over TCP with its length before it.
    case dns
    case openvpn
    case wireguard
    /// None of these.
    case unknown
}
