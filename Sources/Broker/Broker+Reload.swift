package import Model
package import Policy
package import Ruleset

extension Broker {
    /// Puts other policies and settings in force: the difference only.
    ///
    /// A policy that became narrower raises its workload's generation: every open connection of it, and of nobody else, is
    /// judged once more.
    package mutating func load(_ policies: PolicySet, _ settings: Settings, at now: Instant) -> [BrokerAction] {
        let (oldPolicies, oldSettings) = (self.policies, self.settings)
        var changes: [ElementChange] = []
        var rechecked: [Identity] = []
        var goneIdentities: [Identity] = []
        var saved: [String: Assignment] = [:]
        var removed: [String] = []
        var dropped: [PinSummary] = []

        let (added, gone, changed) = Self.difference(oldPolicies, policies)
        self.policies = policies
        self.settings = settings
        named.subtract(gone)
        for name in added.union(changed) {
            if policies[name]?.usesNames == true { named.insert(name) } else { named.remove(name) }
        }

        let lost = Set(gone.compactMap { assignments[$0]?.identity })
        var ended = giveUpFlights(at: now) { lost.contains($0.identity) }
        for identity in lost { flows.forgetProved(identity) }
        for name in gone {
            guard let assignment = assignments.removeValue(forKey: name), let old = oldPolicies[name] else { continue }
            changes += Elements.policy(of: old, identity: assignment.identity).map(\.undone)
            changes += Elements.assignment(assignment).map(\.undone)
            let forgotten = forgetPins(of: name, assignment.identity, at: now)
            changes += forgotten.changes
            dropped += forgotten.dropped
            names[assignment.identity.number] = nil
            goneIdentities.append(assignment.identity)
            retired[assignment.identity.number] = assignment.generation
            removed.append(name)
        }
        var free = Identity.firstWorkload
        // A number that was just given up may still be on open connections.
        var taken = Set(assignments.values.map(\.identity.number)).union(goneIdentities.map(\.number))
        for name in added.sorted() {
            guard let number = Self.nextFree(&free, &taken), let workload = policies[name] else { continue }
            // The stamps of who had the number before are not this one's.
            let generation = retired.removeValue(forKey: number).map { $0 &+ 1 } ?? 1
            let assignment = Assignment(identity: Identity(number: number), generation: generation)
            assignments[name] = assignment
            names[number] = name
            saved[name] = assignment
            changes += Elements.assignment(assignment) + Elements.policy(of: workload, identity: assignment.identity)
            rechecked.append(assignment.identity)
        }
        // What only one of the two modes lets through, or refuses, concerns every workload.
        let modeChanges = oldSettings.observesOnly != settings.observesOnly
        for name in changed {
            guard let old = oldPolicies[name], let new = policies[name], let assignment = assignments[name] else {
                continue
            }
            let before = Elements.policy(of: old, identity: assignment.identity)
            let after = Elements.policy(of: new, identity: assignment.identity)
            let difference = ElementChange.difference(from: before, to: after)
            changes += difference
            let renewed = renewPins(of: name, at: now)
            changes += renewed.changes
            dropped += renewed.dropped
            // What only the broker knows may have become narrower too: the mode for the unknown, rules with a program or a
            // protocol, which take what they cover out of the unknown, and names of which there are pins.
            let programs =
                old.allow != new.allow
                && (old.allow + new.allow).contains { $0.executable != nil || $0.application != .any }
            let isNarrower =
                difference.contains { !$0.remove.isEmpty } || programs || old.unknown != new.unknown
                || old.deny != new.deny || renewed.isNarrower || (old.allow != new.allow && pins[name] != nil)
            guard isNarrower, !modeChanges else { continue }
            changes += raise(name, &saved)
            rechecked.append(assignment.identity)
        }
        changes += ElementChange.difference(from: modes(oldSettings), to: modes(settings))
        if oldSettings != settings {
            var withoutUpstreams = oldSettings
            withoutUpstreams.upstreams = settings.upstreams
            let concernsAll = withoutUpstreams != settings
            let concernsDaemon = modeChanges || oldSettings.upstreams != settings.upstreams
            for (name, identity) in Self.reserved where identity == .daemon ? concernsDaemon : concernsAll {
                changes += raise(name, &saved)
                rechecked.append(identity)
            }
        }
        if modeChanges {
            for workload in policies.workloads where !added.contains(workload.name) {
                guard let assignment = assignments[workload.name] else { continue }
                changes += raise(workload.name, &saved)
                rechecked.append(assignment.identity)
            }
        }
        changes += renewGrants(of: gone.union(changed).union(added), at: now)

        let (moved, identityChanges) = resolveAgain(at: now)
        changes += identityChanges
        ended += giveUpFlights(at: now) { moved.contains($0.sender.cgroup) }
        let touched = !(added.isEmpty && gone.isEmpty && changed.isEmpty) || oldSettings != settings
        guard touched else { return ended }

        // Identities whose requests may be judged otherwise now: nothing that was settled before counts for them.
        let affected = Set(rechecked).union(goneIdentities).union(changed.compactMap { assignments[$0]?.identity })
        var actions: [BrokerAction] = windows.keys.filter { affected.contains($0.identity) }.map { .settle($0) }
        actions.append(.change(Self.merged(changes)))
        actions.append(clearAnswers())
        actions += dropMoved(moved, at: now)
        for (key, hold) in holds where affected.contains(key.identity) {
            holds[key] = nil
            release(key, hold)
            actions += hold.packets.values.map { .answer($0, .again) }
        }
        if !dropped.isEmpty { actions.append(.savePins([], dropped: dropped)) }
        if !saved.isEmpty || !removed.isEmpty { actions.append(.saveAssignments(saved, removed: removed)) }
        actions += ended
        if !moved.isEmpty { actions.append(.unstamp(moved)) }
        actions += rechecked.map { .recheck($0) }
        return actions
    }

    /// The next generation of an identity, for its stamps and for every cgroup of it.
    private mutating func raise(_ name: String, _ saved: inout [String: Assignment]) -> [ElementChange] {
        guard var assignment = assignments[name] else { return [] }
        let old = assignment
        assignment.generation &+= 1
        assignments[name] = assignment
        saved[name] = assignment
        return ElementChange.difference(from: Elements.assignment(old), to: Elements.assignment(assignment))
    }

    /// Gives up the packets that wait, when a cgroup lost its identity: what is sent again bears the right stamp.
    ///
    /// Those of all holds, which go on without them: a packet whose socket was taken for another's bears the stamp of a cgroup
    /// that nobody knows of it, and would be judged by that when its hold ends.
    private mutating func dropMoved(_ moved: [UInt64], at now: Instant) -> [BrokerAction] {
        guard !moved.isEmpty else { return [] }
        for cgroup in moved { movedCgroups[cgroup] = now + Self.unreadTime }
        var actions: [BrokerAction] = []
        for (key, hold) in holds {
            release(key, hold)
            holds[key]?.packets = [:]
            orphans += UInt64(hold.packets.count)
            actions += hold.packets.values.map { .answer($0, .drop) }
        }
        return actions
    }

    /// Resolves every known cgroup again; which of them belong to another identity than before.
    private mutating func resolveAgain(at now: Instant) -> (moved: [UInt64], changes: [ElementChange]) {
        var moved: [UInt64] = []
        var changes: [ElementChange] = []
        for (id, cgroup) in cgroups {
            var resolved = Cgroup(path: cgroup.path)
            if cgroup.receiver != nil { resolved.receiver = resolve(path: cgroup.path, uid: nil) }
            for uid in cgroup.senders.keys { resolved.senders[uid] = resolve(path: cgroup.path, uid: uid) }
            guard resolved.receiver != cgroup.receiver || resolved.senders != cgroup.senders else { continue }
            changes += ElementChange.difference(from: elements(of: id, cgroup), to: elements(of: id, resolved))
            let left = cgroup.senders.filter { resolved.senders[$0.key]?.identity != $0.value.identity }.values
            for assignment in left { leftIdentities[assignment.identity] = now + Self.unreadTime }
            if !left.isEmpty || cgroup.receiver?.identity != resolved.receiver?.identity { moved.append(id) }
            cgroups[id] = resolved
        }
        return (moved, changes)
    }

    private static func difference(
        _ old: PolicySet,
        _ new: PolicySet,
    ) -> (added: Set<String>, gone: Set<String>, changed: Set<String>) {
        var (added, gone, changed) = (Set<String>(), Set<String>(), Set<String>())
        // Both are sorted by name.
        var (left, right) = (old.workloads[...], new.workloads[...])
        while let first = left.first, let second = right.first {
            if first.name == second.name {
                if first != second { changed.insert(first.name) }
                left.removeFirst()
                right.removeFirst()
            } else if first.name < second.name {
                gone.insert(first.name)
                left.removeFirst()
            } else {
                added.insert(second.name)
                right.removeFirst()
            }
        }
        gone.formUnion(left.map(\.name))
        added.formUnion(right.map(\.name))
        return (added, gone, changed)
    }

    /// One change a set, deletes before adds over all of them.
    private static func merged(_ changes: [ElementChange]) -> [ElementChange] {
        var bySet: [String: ElementChange] = [:]
        for change in changes {
            bySet[change.set, default: ElementChange(set: change.set)].remove += change.remove
            bySet[change.set]?.add += change.add
        }
        let removed = bySet.values.sorted { $0.set < $1.set }
        return removed.map { ElementChange(set: $0.set, remove: $0.remove) }
            + removed.map { ElementChange(set: $0.set, add: $0.add) }
    }

    /// Whether a connection that is open may go on, as far as its ends say: nil when only its process could tell.
    package func mayGoOn(_ identity: Identity, to destination: Destination) -> Bool? {
        guard identity.isWorkload, let name = names[identity.number], let workload = policies[name] else {
            return decide(identity, destination, nil).verdict != .deny
        }
        let decision = decide(identity, destination, nil, isOpen: true)
        switch decision.verdict {
        case .allow, .observe: return true
        case .hold: return false
        case .deny:
            return decision.reason == .wrongExecutable && workload.allow.contains { $0.executable != nil } ? nil : false
        }
    }

    /// Whether a connection that somebody opened to this identity's port may go on.
    package func mayGoOn(_ identity: Identity, from peer: IPAddress, port: UInt16, transport: Transport) -> Bool {
        guard identity.isWorkload, let name = names[identity.number], let workload = policies[name] else { return true }
        return settings.observesOnly || workload.admits(peer: peer, port: port, transport: transport) != nil
    }

    /// The identity of a socket's cgroup and user, for who looks at all sockets.
    package func identity(path: String, uid: UInt32?) -> Assignment { resolve(path: path, uid: uid) }
}
