import Model

/// Finds the rules that cover a name in a few look-ups, one for each of its labels, however many names the rules give.
///
/// Made of the rules, so that it says nothing of its own: any two are equal.
struct NameIndex: Sendable {
    /// The positions of the rules that give exactly this name, in ascending order.
    private var exact: [String: [Int]] = [:]
    /// The same for wildcards, by the name without the `*.`.
    private var wildcards: [String: [Int]] = [:]
    /// The same for `any`.
    private var every: [Int] = []

    init(_ rules: [Rule]) {
        for (position, rule) in rules.enumerated() {
            for target in rule.targets { insert(target, of: position) }
        }
    }

    private mutating func insert(_ target: Target, of rule: Int) {
        switch target {
        case .any: every.append(rule)
        case .name(let pattern) where pattern.isWildcard: wildcards[pattern.base.text, default: []].append(rule)
        case .name(let pattern): exact[pattern.base.text, default: []].append(rule)
        case .prefix: break
        }
    }

    /// The positions of the rules that cover the name, those of each kind of target apart and in ascending order.
    private func forEachList(covering name: DomainName, _ body: ([Int]) -> Void) {
        body(every)
        if let rules = exact[name.text] { body(rules) }
        guard !wildcards.isEmpty else { return }
        var rest = name.text[...]
        while let dot = rest.utf8.firstIndex(of: UInt8(ascii: ".")) {
            rest = rest[rest.utf8.index(after: dot)...]
            if let rules = wildcards[String(rest)] { body(rules) }
        }
    }

    /// The position of the first rule that covers the name and satisfies the condition.
    func first(covering name: DomainName, where isMeant: (Int) -> Bool) -> Int? {
        var best: Int?
        forEachList(covering: name) { rules in
            if let rule = rules.first(where: isMeant), rule < best ?? .max { best = rule }
        }
        return best
    }

    /// The positions of all rules that cover the name, in ascending order.
    func rules(covering name: DomainName) -> [Int] {
        var rules: Set<Int> = []
        forEachList(covering: name) { rules.formUnion($0) }
        return rules.sorted()
    }

    /// The first rule that covers one of the names and satisfies the condition, and the first name of those it covers.
    func first(coveringOneOf names: [DomainName], where isMeant: (Int) -> Bool) -> (rule: Int, name: DomainName)? {
        var best: (rule: Int, name: DomainName)?
        for name in names {
            guard let rule = first(covering: name, where: isMeant) else { continue }
            if let found = best, found.rule <= rule { continue }
            best = (rule, name)
        }
        return best
    }
}

extension NameIndex: Hashable {
    static func == (left: NameIndex, right: NameIndex) -> Bool { true }

    func hash(into hasher: inout Hasher) {}
}
