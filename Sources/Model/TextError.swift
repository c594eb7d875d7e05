/// Why a text does not say what it should: the offending part, and the mend.
package struct TextError: Error, Hashable, CustomStringConvertible {
    /// One line without a full stop: what is wrong, a semicolon, what to write instead.
    package let message: String

    package init(_ message: String) { self.message = message }

    package var description: String { message }

    /// The text in single quotes, fit for one line of a terminal: at most 80 characters, nothing invisible.
    package static func quote(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy { (0x20...0x7e).contains($0) }
        if isPlain, text.utf8.count <= 80 { return "'\(text)'" }
        let start = text.unicodeScalars.prefix(80)
        let rest = start.endIndex < text.unicodeScalars.endIndex ? "…" : ""
        return "'\(escape(String(start)))\(rest)'"
    }

    /// The text with what is invisible or breaks the line written as `\u{…}`.
    ///
    /// These are controls, format characters (so also bidirectional ones), line separators and unassigned code points.
    package static func escape(_ text: String) -> String {
        var escaped = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned:
                escaped.append(contentsOf: "\\u{\(String(scalar.value, radix: 16))}".unicodeScalars)
            default:
                escaped.append(scalar)
            }
        }
        return String(escaped)
    }
}
