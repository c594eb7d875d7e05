extension RulesetMessage {
    /// How many changes a sentence names.
    private static let named = 4

    /// One sentence about what happened to one table, without its full stop: each kind of change once, the weightiest first.
    ///
    /// `table inet egressd was deleted`, `table inet egressd: rules added to chain decide, elements removed from set open`.
    package static func summary(of table: String, _ messages: [RulesetMessage]) -> String {
        // What is in a table goes with it.
        if let last = messages.last(where: { $0.subject == .table && $0.isDeletion }) {
            let isBack = messages.last { $0.subject == .table } != last
            return "table \(table) was deleted" + (isBack ? ", and made anew" : "")
        }
        var parts: [String] = []
        // Whose rules had to go first says less than what was deleted then.
        for rank in Rank.allCases {
            for message in messages where message.rank == rank && !parts.contains(message.change) {
                parts.append(message.change)
            }
        }
        let more = parts.count > named ? " and \(parts.count - named) more" : ""
        return "table \(table): " + parts.prefix(named).joined(separator: ", ") + more
    }

    private enum Rank: CaseIterable {
        case structure, rules, elements
    }

    private var rank: Rank? {
        switch subject {
        case .generation: nil
        case .rule: .rules
        case .element: .elements
        case .table, .chain, .set, .object, .flowtable: .structure
        }
    }

    private var change: String {
        switch subject {
        case .generation: "generation \(generation)"
        case .table: "its flags changed"
        case .rule: isDeletion ? "rules removed from chain \(name)" : "rules added to chain \(name)"
        case .element: isDeletion ? "elements removed from set \(name)" : "elements added to set \(name)"
        case .chain: "chain \(name) " + (isDeletion ? "deleted" : "added or changed")
        case .set: "set \(name) " + (isDeletion ? "deleted" : "added or changed")
        case .object: "object \(name) " + (isDeletion ? "deleted" : "added or changed")
        case .flowtable: "flowtable \(name) " + (isDeletion ? "deleted" : "added or changed")
        }
    }

    /// The family as nft writes it.
    package static func familyName(_ family: UInt8) -> String {
        switch family {
        case 1: "inet"
        case 2: "ip"
        case 3: "arp"
        case 5: "netdev"
        case 7: "bridge"
        case 10: "ip6"
        default: "family \(family)"
        }
    }
}
