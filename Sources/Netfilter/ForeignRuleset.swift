package import Coverage
package import Wire

/// What other tools have in the ruleset, as far as it concerns egressd.
package struct ForeignRuleset: Hashable, Sendable {
    package struct Chain: Hashable, Sendable {
        package var family: UInt8
        package var table: String
        package var name: String
        package var handle: UInt64
        package var uses: UInt32
        package var hook: RulesetMessage.Hook?
        package var type: String
        package var effects: RuleEffects = []

        /// What stays the same as long as no rule comes or goes.
        struct Key: Hashable {
            let family: UInt8
            let table: String
            let handle: UInt64
            let uses: UInt32
        }

        var key: Key { Key(family: family, table: table, handle: handle, uses: uses) }
    }

    /// Something that an operator should know, and says nothing new when it is found again.
    package struct Finding: Hashable, Sendable {
        /// The table, as nft writes it: `ip nat`.
        package let table: String
        /// Which chain, and what of it; without a full stop.
        package let text: String
        /// What becomes of packets by it.
        package let reach: ForeignRule.Reach
        /// Whether connections break by it or pass out of sight.
        package var isHarmful: Bool { reach != .none }
    }

    /// Whether egressd's own table is there.
    package var hasOurs = false
    package var chains: [Chain] = []

    package init() {}

    /// What there is to know, in the order of the chains.
    package var findings: [Finding] { chains.flatMap(\.findings) }
}

extension ForeignRuleset.Chain {
    private static let netdev: UInt8 = 5
    private static let output: UInt32 = 3
    /// Input, forward, output: where egressd judges, at priority 0; of the same priority the later one comes first.
    private static let judging: ClosedRange<UInt32> = 1...3

    /// How nft writes a base chain's place.
    private var place: String {
        guard let hook else { return "" }
        let names =
            family == Self.netdev
            ? ["ingress", "egress"] : ["prerouting", "input", "forward", "output", "postrouting"]
        let name = Int(hook.number) < names.count ? names[Int(hook.number)] : "\(hook.number)"
        let device = hook.device.map { " device \($0)" } ?? ""
        return ": type \(type) hook \(name)\(device) priority \(hook.priority)"
    }

    var findings: [ForeignRuleset.Finding] {
        // Bridged and ARP packets meet none of egressd's chains.
        guard [1, 2, 10, Self.netdev].contains(family) else { return [] }
        let table = "\(RulesetMessage.familyName(family)) \(self.table)"
        func finding(_ what: String, _ reach: ForeignRule.Reach) -> ForeignRuleset.Finding {
            ForeignRuleset.Finding(
                table: table,
                text: "table \(table), chain \(name)\(place), \(what)",
                reach: reach
            )
        }
        var found: [ForeignRuleset.Finding] = []
        if let hook, family != Self.netdev, Self.judging.contains(hook.number), hook.priority <= 0 {
            if type == "nat", hook.number == Self.output {
                found.append(
                    finding("translates before egressd, which judges where a connection goes then", .none)
                )
            } else if type != "nat" {
                found.append(finding("accepts before egressd; nothing passes for it", .none))
            }
        }
        if effects.contains(.setsConnectionMark) {
            found.append(finding("sets the connection mark, which is egressd's: remove the rule", .passes))
        }
        if effects.contains(.untracks) {
            found.append(
                finding("takes packets out of connection tracking: a workload's are refused", .breaks)
            )
        }
        if effects.contains(.diverts) {
            found.append(
                finding("sends packets or copies of them another way, which egressd does not see", .passes)
            )
        }
        if effects.contains(.offloads) {
            found.append(
                finding("takes forwarded connections past egressd once they are open (flowtable)", .outlives)
            )
        }
        // A chain that others lead to may be anywhere: Docker and kube-proxy fill theirs all the time.
        if effects.contains(.translates), hook?.number == Self.output, family != Self.netdev {
            found.append(finding("changes where connections go before egressd judges them", .none))
        }
        if effects.contains(.queues) {
            found.append(
                finding("hands packets to another program, which may take them past every rule", .passes)
            )
        }
        return found
    }
}
