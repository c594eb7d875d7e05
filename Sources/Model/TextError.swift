/// Why a text does not say what it should: the offending part, and the mend.
package struct TextError: Error, Hashable, CustomStringConvertible {
    /// One line without a full stop: what is wrong, a semicolon, what to write instead.
    package let message: String

    package init(_ message: String) { self.message = message }

    package var description: String { message }

    /// The text in single quotes, fit for one line of a terminal: at most 80 characters, nothing invisible.
    ///
    /// Controls, format characters (so also bidirectional ones), line separators and unassigned code points are escaped.
    package static func quote(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy { (0x20...0x7e).contains($0) }
        if isPlain, text.utf8.count <= 80 { return "'\(text)'" }
        var quoted = "'"
        var count = 0
        for scalar in text.unicodeScalars {
            guard count < 80 else { return quoted + "…'" }
            count += 1
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned:
                quoted += "\\u{\(String(scalar.value, radix: 16))}"
            default:
                quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "'"
    }
}
