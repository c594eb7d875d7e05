/// Why there is no answer, told to clients that understand EDNS (RFC 8914).
package struct ExtendedError: Hashable, Sendable {
    /// The INFO-CODE.
    package let code: UInt16
    /// The EXTRA-TEXT, at most `textLimit` bytes.
    package let text: String

    /// So that it fits the smallest datagram behind the longest question.
    static let textLimit = 120

    /// Cuts a longer text.
    package init(code: UInt16, text: String) {
        self.code = code
        var cut = text
        while cut.utf8.count > Self.textLimit { cut.unicodeScalars.removeLast() }
        self.text = cut
    }

    /// This client may not ask this (§4.19).
    package static func prohibited(_ text: String) -> ExtendedError { ExtendedError(code: 18, text: text) }
}
