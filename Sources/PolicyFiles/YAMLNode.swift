/// A node of a YAML document with the place where it begins.
struct YAMLNode {
    /// What it holds.
    enum Content {
        /// The text; whether it stood there without quotes.
        case scalar(String, isPlain: Bool)
        case sequence([YAMLNode])
        case mapping([(key: YAMLNode, value: YAMLNode)])
    }

    let mark: Mark
    let content: Content

    /// Whether nothing was written: `key:`, `key: ~`, `key: null`.
    var isNull: Bool {
        guard case .scalar(let text, isPlain: true) = content else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }

    /// What it is, for messages: `a list`.
    var kind: String {
        switch content {
        case _ where isNull: "empty"
        case .scalar: "a single value"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }
}

/// A place in a file.
struct Mark: Hashable, Comparable {
    /// From 1.
    let line: UInt32
    /// From 1, in characters.
    let column: UInt32

    static func < (left: Mark, right: Mark) -> Bool { (left.line, left.column) < (right.line, right.column) }
}
