package import Model

/// A name that a rule gives: exactly one, or with `*.` in front every name with one or more whole labels more at the
/// left.
package struct NamePattern: Hashable, Sendable {
    /// The name without the `*.`.
    package let base: DomainName
    /// Whether `*.` stands in front: then `base` itself does not match.
    package let isWildcard: Bool

    /// Reads `packages.example.org` or `*.example.org`.
    package init(_ text: String) throws(TextError) {
        guard text.utf8.starts(with: "*".utf8) else {
            self.base = try DomainName(text)
            self.isWildcard = false
            return
        }
        guard text.utf8.starts(with: "*.".utf8), text.utf8.count > 2 else {
            throw TextError(
                "\(TextError.quote(text)) is no pattern; write '*.example.org', or 'any' for every destination"
            )
        }
        self.base = try DomainName(String(decoding: text.utf8.dropFirst(2), as: UTF8.self))
        self.isWildcard = true
    }

    /// Whether the pattern covers the name.
    package func matches(_ name: DomainName) -> Bool {
        guard isWildcard else { return name == base }
        let (name, base) = (name.text.utf8, base.text.utf8)
        guard name.count > base.count + 1 else { return false }
        let tail = name.suffix(base.count + 1)
        return tail.first == UInt8(ascii: ".") && tail.dropFirst().elementsEqual(base)
    }
}

extension NamePattern: CustomStringConvertible {
    package var description: String { isWildcard ? "*.\(base)" : "\(base)" }
}
