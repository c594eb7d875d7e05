import Model

/// The mistakes of one file, as they are found.
struct Report {
    let file: String
    private static let limit = 100
    private(set) var errors: [PolicyFileError] = []

    init(file: String) { self.file = file }

    mutating func add(_ mark: Mark, _ message: String) {
        // Bounds what a file of nothing but mistakes can cost.
        guard errors.count <= Self.limit else { return }
        let message = errors.count == Self.limit ? "more mistakes follow; mend those above first" : message
        errors.append(
            PolicyFileError(file: file, line: Int(mark.line), column: Int(mark.column), message: message),
        )
    }

    /// The text of a single value that is not empty; reports anything else.
    mutating func text(_ node: YAMLNode, _ key: String) -> String? {
        guard case .scalar(let text, _) = node.content, !node.isNull else {
            add(node.mark, "'\(key)' must be one text, but it is \(node.kind)")
            return nil
        }
        guard !text.isEmpty else {
            add(node.mark, "'\(key)' is empty; write a text or remove the key")
            return nil
        }
        return text
    }

    /// Text for people: one line, of at most `limit` characters.
    mutating func line(_ node: YAMLNode, _ key: String, limit: Int) -> String? {
        guard var text = text(node, key) else { return nil }
        // A block scalar ends with a line break that its author did not mean.
        while text.utf8.last == UInt8(ascii: "\n") { text.removeLast() }
        guard text.unicodeScalars.count <= limit else {
            add(node.mark, "'\(key)' has more than \(limit) characters; shorten it")
            return nil
        }
        guard TextError.quote(String(text.prefix(80))) == "'\(text.prefix(80))'", !Self.hidesSomething(text) else {
            add(node.mark, "'\(key)' holds something invisible or a line break; write one plain line")
            return nil
        }
        return text
    }

    private static func hidesSomething(_ text: String) -> Bool {
        text.unicodeScalars.contains {
            $0.properties.generalCategory == .control || $0.properties.generalCategory == .format
        }
    }

    /// A value read by an initialiser that says itself what is wrong.
    mutating func value<Value>(
        _ node: YAMLNode,
        _ key: String,
        _ read: (String) throws(TextError) -> Value,
    ) -> Value? {
        guard let text = text(node, key) else { return nil }
        do {
            return try read(text)
        } catch {
            add(node.mark, error.message)
            return nil
        }
    }

    /// The items of a list that is not empty; reports anything else.
    ///
    /// `example` is what the mend shows.
    mutating func items(_ node: YAMLNode, _ key: String, example: String) -> [YAMLNode]? {
        switch node.content {
        case .sequence(let items) where items.isEmpty:
            add(node.mark, "'\(key)' is an empty list; write '\(key): \(example)' or remove the key")
            return nil
        case .sequence(let items):
            return items
        case .scalar(let text, _) where !node.isNull && text.unicodeScalars.count <= 40:
            let item = text.utf8.first == UInt8(ascii: "*") || text.contains(":") ? "\"\(text)\"" : text
            add(node.mark, "'\(key)' must be a list; write '\(key): [\(item)]'")
            return nil
        default:
            add(node.mark, "'\(key)' must be a list, but it is \(node.kind); write '\(key): \(example)'")
            return nil
        }
    }

    /// A list of values, each read by an initialiser that says itself what is wrong; the same one twice counts once.
    mutating func values<Value: Hashable>(
        _ node: YAMLNode,
        _ key: String,
        example: String,
        _ read: (String) throws(TextError) -> Value,
    ) -> [Value]? {
        guard let items = items(node, key, example: example) else { return nil }
        var values: [Value] = []
        values.reserveCapacity(items.count)
        var seen: Set<Value> = []
        for item in items {
            guard let value = value(item, key, read) else { continue }
            // Short lists are nearly all lists: they need no set.
            let isNew = items.count > 16 ? seen.insert(value).inserted : !values.contains(value)
            if isNew { values.append(value) }
        }
        return values.isEmpty ? nil : values
    }
}
