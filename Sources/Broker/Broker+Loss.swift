package import Model
package import Ruleset

/// What to do when another tool took the table away, or changed what is in it.
extension Broker {
    /// Every element that is in force now: the policy's, what was learned of cgroups, approvals and pins with the time they
    /// have left.
    ///
    /// Windows and single answers are not among them: see `lost`.
    package func inForce(at now: Instant) -> [ElementChange] {
        var changes = elements()
        for (id, cgroup) in cgroups { changes += elements(of: id, cgroup) }
        for known in grantElements.values where now < known.until {
            changes.append(ElementChange(set: known.set, add: [known.lasting(at: now)]))
        }
        for (name, table) in pins {
            guard let identity = assignments[name]?.identity else { continue }
            for (address, ports) in table.elements {
                let elements = ports.filter { now < $0.value }.map { port, until in
                    Self.element(identity, address, port, until: until, at: now)
                }
                changes.append(ElementChange(set: Self.set(address), add: elements))
            }
        }
        return changes
    }

    /// The kernel has nothing more of what it was to settle alone: every window ends with what it had counted, no answer
    /// is waited for, and whose first flight may have passed unseen is ended.
    package mutating func lost(
        counted: [String: [[UInt8]: UInt64]],
        at now: Instant,
    ) -> [BrokerAction] {
        attempts.removeAll()
        let ended = giveUpFlights(at: now, because: "another tool changed the rules that held its first flight") { _ in
            true
        }
        flows.forgetPassed()
        return ended
            + windows.keys.flatMap { settled($0, packets: counted[$0.set]?[$0.element.key] ?? 0, at: now) }
    }
}
