/// How a query was answered (RFC 1035 §4.1.1): 4 bits in the header, 12 with those of EDNS (RFC 6891 §6.1.3).
package struct DNSResponseCode: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let noError = DNSResponseCode(rawValue: 0)
    /// FORMERR: the query could not be read.
    package static let formatError = DNSResponseCode(rawValue: 1)
    /// SERVFAIL: no answer could be had.
    package static let serverFailure = DNSResponseCode(rawValue: 2)
    /// NXDOMAIN: there is no such name.
    package static let nameError = DNSResponseCode(rawValue: 3)
    /// NOTIMP: this kind of query is not answered here.
    package static let notImplemented = DNSResponseCode(rawValue: 4)
    /// REFUSED: the policy does not allow it.
    package static let refused = DNSResponseCode(rawValue: 5)
    /// BADVERS: a version of EDNS other than 0; does not fit into the header's 4 bits.
    package static let badVersion = DNSResponseCode(rawValue: 16)
}

extension DNSResponseCode: CustomStringConvertible {
    /// The mnemonic of the IANA registry "DNS RCODEs", or `RCODE` with the number.
    package var description: String {
        switch self {
        case .noError: "NOERROR"
        case .formatError: "FORMERR"
        case .serverFailure: "SERVFAIL"
        case .nameError: "NXDOMAIN"
        case .notImplemented: "NOTIMP"
        case .refused: "REFUSED"
        case .badVersion: "BADVERS"
        default: "RCODE\(rawValue)"
        }
    }
}
