/// Why bytes do not begin an SSH connection (RFC 4253 §4.2).
package enum SSHError: Error, Hashable, Sendable {
    /// Another line than an identification string stands where only that may.
    case start
    /// Neither protocol 2.0 nor 1.99.
    case version
    /// A byte that is not visible ASCII or a blank, or no software named.
    case text
    /// The string has more than 255 bytes, or too much stands before it.
    case tooLong
}

extension SSHError: CustomStringConvertible {
    /// A sentence without its full stop.
    package var description: String {
        switch self {
        case .start: "no SSH identification string"
        case .version: "an SSH version other than 2.0"
        case .text: "an SSH identification string with odd bytes"
        case .tooLong: "an SSH identification string that is too long or too late"
        }
    }
}
