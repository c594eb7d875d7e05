internal import Broker
internal import Model
internal import Netfilter
internal import Ruleset
internal import System
internal import Wire

extension Daemon {
    /// The sets whose elements count what the kernel settled alone.
    private static let counting =
        ["denied", "knocks", "seen", "lately", "others"].flatMap { ["\($0)4", "\($0)6"] } + ["floods", "sieges"]

    /// Puts the table in force as it was before another tool changed it, with all that is in force now.
    ///
    /// In place no open connection notices; with `isAnew` nothing stays that others added. What was opened or answered
    /// meanwhile is judged again, first of all by who is connected. Gives the moment
    /// from which it was in force.
    func putBack(isAnew: Bool, listeningThrough: Bool) throws(NetfilterError) -> Instant {
        // What was counted in a table that is gone is not known.
        var counted: [String: [[UInt8]: UInt64]] = [:]
        for set in Self.counting { counted[set] = try? table.counts(of: set).mapValues(\.packets) }
        let now = Clock.now()
        table.listensThrough = listeningThrough
        defer { table.listensThrough = false }
        try table.install(layout, elements: broker.inForce(at: now), isAnew: isAnew)
        try table.setRedirecting(isRedirecting, of: layout)
        let end = Clock.now()
        for (key, packets) in untold { settled(key, packets: counted[key.set]?[key.element.key] ?? packets) }
        perform(broker.lost(counted: counted, at: now))
        // Without a table connections have no stamp, and none of them may be tracked.
        judgeOpen(openSockets(), "it was open when the table was put back, and nothing allows it")
        return end
    }

    /// The sets of which no element lets anything through.
    private static let refusing =
        Set(["denied", "knocks", "seen"].flatMap { ["\($0)4", "\($0)6"] } + ["floods", "sieges"])

    /// Puts in force again what is let through, in a table whose chains are as they were: others may have changed elements.
    func putElementsBack(listeningThrough: Bool) throws(NetfilterError) {
        perform(broker.forgetPassing())
        table.listensThrough = listeningThrough
        defer { table.listensThrough = false }
        try table.replace(
            layout.sets.map(\.name).filter { !Self.refusing.contains($0) },
            layout.constants + broker.inForce(at: Clock.now()),
        )
    }

    /// Whether something stands in the table that is not of its layout.
    func isForeign(_ table: OwnTable) -> Bool {
        !table.chains.isSubset(of: (layout.chains + layout.redirecting).map(\.name))
            || !table.sets.isSubset(of: layout.sets.map(\.name))
    }

    /// Whether one of these messages is about something in the table that is not of its layout, and stays unless the table
    /// is made anew.
    func isForeign(_ messages: [RulesetMessage]) -> Bool {
        let chains = Set((layout.chains + layout.redirecting).map(\.name))
        let sets = Set(layout.sets.map(\.name))
        return messages.contains { message in
            switch message.subject {
            case .object, .flowtable: true
            case .chain, .rule: !chains.contains(message.name)
            case .set, .element: !sets.contains(message.name)
            case .table, .generation: false
            }
        }
    }
}
