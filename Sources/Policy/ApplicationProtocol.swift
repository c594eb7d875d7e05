package import Model

/// What must be spoken on a connection that a rule lets through.
package enum ApplicationProtocol: String, Sendable, CaseIterable {
    /// Anything: the address alone is trusted.
    case any
    case tls
    case http
    case ssh
    case quic

    /// The transport it is spoken over; nil where both will do.
    package var transport: Transport? {
        switch self {
        case .any: nil
        case .tls, .http, .ssh: .tcp
        case .quic: .udp
        }
    }
}
