import Model

/// The members of a mapping whose keys have been checked: each known, none twice.
struct Members {
    /// Where the mapping begins.
    let mark: Mark
    private var members: [(key: String, node: YAMLNode)] = []
    /// The keys that unknown ones were taken for.
    private var meant: Set<String> = []

    /// Reads a mapping; nil, and reported, when the node is none.
    ///
    /// `what` names it in messages: `a rule`.
    init?(_ node: YAMLNode, of what: String, keys: [String], hints: [String: String] = [:], _ report: inout Report) {
        guard case .mapping(let pairs) = node.content else {
            let shown = keys.prefix(3).map { "\($0):" }.joined(separator: ", ")
            report.add(node.mark, "\(what) must be a mapping, but it is \(node.kind); write its keys (\(shown) …)")
            return nil
        }
        self.mark = node.mark
        var lines: [String: UInt32] = [:]
        for (key, value) in pairs {
            guard case .scalar(let name, _) = key.content else {
                report.add(key.mark, "a key must be text, but it is \(key.kind)")
                continue
            }
            if let line = lines[name] {
                report.add(key.mark, "duplicate key \(TextError.quote(name)); it is already on line \(line)")
                continue
            }
            lines[name] = key.mark.line
            if keys.contains(name) {
                members.append((name, value))
            } else {
                let hint = hints[name] ?? Self.hint(for: name, among: keys)
                report.add(key.mark, "unknown key \(TextError.quote(name)); \(hint)")
                if let key = keys.first(where: { hint.hasPrefix("did you mean '\($0)'") }) { meant.insert(key) }
            }
        }
    }

    /// The value of a key; nil when it is not there.
    subscript(key: String) -> YAMLNode? { members.first { $0.key == key }?.node }

    /// Whether the key is missing: not there, and no unknown one was taken for it.
    func lacks(_ key: String) -> Bool { self[key] == nil && !meant.contains(key) }

    private static func hint(for name: String, among keys: [String]) -> String {
        guard let near = Spelling.nearest(to: name, among: keys) else {
            return "the keys here are \(keys.joined(separator: ", "))"
        }
        return "did you mean '\(near)'?"
    }
}
