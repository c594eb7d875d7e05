import Model
import Wire

@testable import Resolver

extension Simulation {
    /// What holds after every step.
    mutating func check() {
        guard failures.isEmpty else { return }
        if resolver.openExchanges > settings.globalLimit { fail("\(resolver.openExchanges) exchanges are open") }
        if Set(resolver.exchanges.keys) != Set(open.keys) { fail("the open exchanges differ") }
        if resolver.cacheSize.answers > settings.cacheLimit || resolver.cacheSize.bytes > settings.cacheBytes {
            fail("the cache holds \(resolver.cacheSize)")
        }
        if resolver.pendingClients != waiting.count {
            fail("\(resolver.pendingClients) clients are counted and \(waiting.count) wait")
        }
        checkLookups()
        checkGroups()
        if let overdue = waiting.values.first(where: { now - $0.asked > settings.deadline }) {
            fail("\(overdue.question.name) is overdue")
        }
        if !waiting.isEmpty, resolver.nextDeadline == nil { fail("clients wait and nothing is due") }
    }

    private mutating func checkLookups() {
        let idle = resolver.lookups.values.filter(\.exchanges.isEmpty).count
        if idle != resolver.idleLookups { fail("\(idle) lookups are idle and \(resolver.idleLookups) counted") }
        if resolver.running.count != resolver.lookups.count { fail("a question is asked twice at once") }
        for (number, lookup) in resolver.lookups {
            if resolver.running[lookup.question] != number { fail("a lookup that nobody finds") }
            if lookup.waiters.isEmpty { fail("a lookup that nobody waits for") }
            if lookup.exchanges.count > 3 { fail("\(lookup.exchanges.count) exchanges of one lookup") }
            if lookup.firstDeadline != lookup.waiters.map(\.deadline).min() { fail("a wrong deadline") }
            for exchange in lookup.exchanges where resolver.exchanges[exchange]?.lookup != number {
                fail("an exchange of another lookup")
            }
        }
    }

    private mutating func checkGroups() {
        var owned: [UInt16: Int] = [:]
        for lookup in resolver.lookups.values { if let owner = lookup.owner { owned[owner, default: 0] += 1 } }
        for (number, group) in resolver.groups {
            if group.running > settings.groupLimit { fail("\(group.running) questions of one group are asked") }
            if group.running != owned[number] ?? 0 { fail("a group's questions are miscounted") }
            if group.clients > settings.groupLimit + settings.groupQueueLimit { fail("too many clients of one group") }
            let couldGoOn = !group.waiting.isEmpty && group.running < settings.groupLimit
            if couldGoOn, !group.isReady { fail("group \(number) could go on and is not in the round") }
            if couldGoOn, resolver.hasRoom { fail("group \(number) waits and there is room") }
        }
        for number in owned.keys where resolver.groups[number] == nil { fail("a lookup of no group") }
        let round = resolver.round.waiting
        if round.count != Set(round).count { fail("a group is in the round twice") }
    }
}
