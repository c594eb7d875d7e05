internal import Model
internal import Policy
package import Ruleset

extension Broker {
    /// Which identity a socket of this cgroup and user has.
    ///
    /// Without a user, a cgroup that several workloads share by user is nobody's in particular: what is reached there is
    /// judged as a foreign user's.
    func resolve(path: String, uid: UInt32?) -> Assignment {
        if let own = settings.daemonCgroup, path == own { return assignment(.daemon) }
        switch policies.identify(cgroup: path, uid: uid) {
        case .workload(let name):
            return assignments[name] ?? assignment(.foreignUser)
        case .wrongUser:
            return assignment(.foreignUser)
        case .ambiguous:
            return assignment(.foreignUser)
        case .unidentified:
            return assignment(.unidentified)
        }
    }

    /// Makes a socket's cgroup and user known to the kernel; the changes are empty when they are already.
    mutating func learn(_ facts: Facts) -> (Assignment, [ElementChange]) {
        var cgroup = cgroups[facts.cgroup] ?? Cgroup(path: facts.path)
        var changes: [ElementChange] = []
        if cgroup.receiver == nil {
            let receiver = resolve(path: facts.path, uid: nil)
            cgroup.receiver = receiver
            // The root cgroup is in force from the start.
            changes += Elements.receiver(cgroup: facts.cgroup, receiver).filter {
                !(facts.cgroup == 1 && $0.set == "strangers")
            }
        }
        var result = cgroup.receiver ?? assignment(.unidentified)
        if let uid = facts.uid {
            if let known = cgroup.senders[uid] {
                result = known
            } else {
                result = resolve(path: facts.path, uid: uid)
                cgroup.senders[uid] = result
                changes += Elements.sender(cgroup: facts.cgroup, uid: uid, result)
            }
        }
        cgroups[facts.cgroup] = cgroup
        return (result, changes)
    }

    /// Answers "who sends this?" and "who would receive this?".
    mutating func identify(_ question: PacketQuestion, at now: Instant) -> [BrokerAction] {
        let facts = question.kind == .sender ? question.sender : question.receiver
        guard let facts else { return refuseUnknown(question, at: now) }
        let known = cgroups[facts.cgroup]
        let (identity, changes) = learn(facts)
        // A socket that no process holds any more, of a workload: its last packets are its own only by their stamp.
        if question.kind == .sender, question.uid == nil, identity.identity != .unidentified {
            orphans += 1
            return [.change(changes), .answer(question.reference, .drop)]
        }
        if changes.isEmpty, known != nil {
            cgroups[facts.cgroup]?.asked += 1
            // The kernel does not find what is there: the packet would come back for ever.
            if (known?.asked ?? 0) > Self.queueLength {
                return refuseUnfound(question, facts, identity.identity, at: now)
            }
        }
        return [.change(changes), .answer(question.reference, .again)]
    }

    /// Forgets a cgroup that is gone, in the kernel too.
    package mutating func forget(cgroup id: UInt64) -> [BrokerAction] {
        guard let cgroup = cgroups.removeValue(forKey: id) else { return [] }
        return [.change(elements(of: id, cgroup).map(\.undone))]
    }

    /// What the kernel knows of a cgroup.
    func elements(of id: UInt64, _ cgroup: Cgroup) -> [ElementChange] {
        var changes: [ElementChange] = []
        if let receiver = cgroup.receiver {
            changes += Elements.receiver(cgroup: id, receiver).filter { !(id == 1 && $0.set == "strangers") }
        }
        for (uid, assignment) in cgroup.senders { changes += Elements.sender(cgroup: id, uid: uid, assignment) }
        return changes
    }

    /// Makes cgroups and users known before a packet of theirs asks; the changes are empty when all were known.
    package mutating func learn(all facts: [Facts]) -> [ElementChange] {
        var changes: [ElementChange] = []
        for facts in facts { changes += learn(facts).1 }
        return changes
    }

    /// Where a user's packets can have come from when their socket cannot be found: the one workload that has this user.
    ///
    /// Only a guess: an answer is bound to the identity that the kernel stamped, so a wrong one is never found.
    package func likelySender(uid: UInt32) -> Facts? {
        let candidates = cgroups.filter { $0.value.senders[uid]?.identity.isWorkload ?? false }
        guard let first = candidates.first,
            candidates.allSatisfy({ $0.value.senders[uid]?.identity == first.value.senders[uid]?.identity })
        else { return nil }
        return Facts(cgroup: first.key, path: first.value.path, uid: uid, isConnected: false)
    }

    /// Whether a cgroup of the identity is known, or it needs none.
    package func isSeen(_ identity: Identity) -> Bool {
        !identity.isWorkload
            || cgroups.values.contains { cgroup in
                cgroup.receiver?.identity == identity || cgroup.senders.values.contains { $0.identity == identity }
            }
    }

    /// Whether a rule of the workload that this cgroup and user are is for one program only.
    package func hasProgramRules(cgroup id: UInt64, path: String, uid: UInt32?) -> Bool {
        workload(identity(cgroup: id, path: path, uid: uid))?.allow.contains { $0.executable != nil } ?? false
    }

    /// Which identity this cgroup and user are, without learning of them.
    func identity(cgroup id: UInt64, path: String, uid: UInt32?) -> Identity {
        (uid.flatMap { cgroups[id]?.senders[$0] } ?? resolve(path: path, uid: uid)).identity
    }

    /// The cgroups that the kernel knows.
    package var knownCgroups: [UInt64] { Array(cgroups.keys) }

    /// How many they are.
    package var cgroupCount: Int { cgroups.count }

    /// The path of a cgroup that the kernel was told of.
    package func path(ofCgroup id: UInt64) -> String? { cgroups[id]?.path }

    /// How many cgroups each workload has at present.
    package var cgroupsByWorkload: [String: [String]] {
        var result: [String: [String]] = [:]
        for cgroup in cgroups.values {
            let names = Set(cgroup.senders.values.compactMap { workloadName($0.identity) })
            for name in names { result[name, default: []].append(cgroup.path) }
        }
        return result
    }
}
