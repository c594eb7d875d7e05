/// How lists and numbers are written in the report.
enum Wording {
    /// At most so many of a list are named.
    static let limit = 4

    /// `a, b, c and 3 more`.
    static func list(_ texts: [String], limit: Int = limit) -> String {
        let shown = texts.prefix(limit).joined(separator: ", ")
        return texts.count > limit ? "\(shown) and \(texts.count - limit) more" : shown
    }

    /// `1 socket`, `2 sockets`.
    static func count(_ number: Int, _ noun: String, _ plural: String? = nil) -> String {
        "\(number) \(number == 1 ? noun : plural ?? noun + "s")"
    }
}
