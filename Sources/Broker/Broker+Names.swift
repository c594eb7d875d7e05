package import Model
package import Policy
package import Ruleset
package import Wire

/// A name that was asked for, and its window: repetitions are counted here, since no packet of theirs goes anywhere.
struct NameWindow {
    struct Key: Hashable {
        let identity: Identity
        let question: DNSQuestion
        /// What is refused: the name itself, or that it stands for this address.
        let address: IPAddress?
    }

    /// The event of the first.
    var event: Event
    let closes: Instant
    var repetitions: UInt64 = 0
}

extension Broker {
    /// At most this many answers to "may it be asked?" are remembered for an identity.
    private static let knownNameLimit = 4096

    /// Whether an identity may ask for a name; the answer is remembered until the policy or a grant changes.
    package mutating func mayAsk(_ identity: Identity, _ question: DNSQuestion, at now: Instant) -> Decision {
        // Whose address it is changes with every pin.
        guard question.type != .ptr else { return judge(identity, question) }
        if let known = knownNames[identity]?[question] { return known }
        let decision = judge(identity, question)
        if decision.verdict == .allow, decision.reason == .rule, let name = question.name.domain,
            !isWithinBudget(identity, name, at: now)
        {
            // Not remembered: it may be asked for later.
            return Decision(verdict: .deny, reason: .limit, rule: decision.rule)
        }
        if knownNames[identity, default: [:]].count >= Self.knownNameLimit { knownNames[identity] = [:] }
        knownNames[identity, default: [:]][question] = decision
        return decision
    }

    private func judge(_ identity: Identity, _ question: DNSQuestion) -> Decision {
        guard let workload = workload(identity) else { return Decision(verdict: .deny, reason: .unidentified) }
        let isObserved = settings.observesOnly || workload.unknown == .observe
        guard let name = question.name.domain, question.class == DNSClass.internet else {
            return Decision(verdict: .deny, reason: .nameNotAllowed)
        }
        let pinned = IPAddress(reverseName: name).flatMap { pins[workload.name]?.names(of: $0) }
        let decision = workload.decide(name: name, type: question.type.description, pinned: pinned ?? [])
        guard decision.verdict == .deny else { return decision }
        if decision.reason == .nameNotAllowed, Self.plainTypes.contains(question.type),
            let grant = grant(for: workload.name, name)
        {
            return Decision(verdict: .allow, reason: .grant, rule: "grant \(grant.id)")
        }
        guard isObserved, decision.reason == .nameNotAllowed || settings.observesOnly, question.type != .any else {
            return decision
        }
        return Decision(verdict: .observe, reason: .observeMode, rule: decision.rule)
    }

    /// Whether any policy or grant has names, so that requests for them have to be answered.
    package var usesNames: Bool {
        !named.isEmpty || grants.values.contains { $0.state == .active && $0.subject.name != nil }
    }

    /// What a name may be asked for without the rule saying so.
    private static let plainTypes: Set<DNSType> = [.a, .aaaa, .https, .svcb, .srv, .cname, .ptr]

    func grant(for workload: String, _ name: DomainName) -> Grant? {
        grants.values.first { $0.state == .active && $0.workload == workload && $0.subject == .name(name) }
    }

    /// Whether the question was refused within the last window: then it is counted, and nobody need be looked for.
    package mutating func isRefusedAgain(_ identity: Identity, _ question: DNSQuestion) -> Bool {
        repeated(NameWindow.Key(identity: identity, question: question, address: nil))
    }

    private mutating func repeated(_ key: NameWindow.Key) -> Bool {
        guard nameWindows[key] != nil else { return false }
        nameWindows[key]?.repetitions += 1
        return true
    }

    /// Records a question that is not answered, or answered although no rule allows it.
    package mutating func note(
        _ identity: Identity,
        _ question: DNSQuestion,
        _ decision: Decision,
        local: Facts?,
        message: String? = nil,
        at now: Instant,
    ) -> [BrokerAction] {
        let key = NameWindow.Key(identity: identity, question: question, address: nil)
        if repeated(key) { return [] }
        var event = nameEvent(identity, question, at: now)
        fill(&event, decision, local)
        event.application = "dns"
        event.message = message ?? (question.type == .a || question.type == .aaaa ? nil : "type \(question.type)")
        if decision.reason == .limit {
            event.finding = .dnsTunnel
            event.message = "more than \(settings.nameBudget) names below wildcards within an hour (dns: budget)"
        } else if decision.verdict == .deny, let name = question.name.domain,
            nameScans[identity, default: NameScanDetector()].note(name, at: now) != nil
        {
            event.finding = .dnsTunnel
        }
        if let together = tellTogether(event, of: identity, at: now) { return together }
        requests.note(&event)
        open(key, event, at: now)
        return [.record(event)]
    }

    /// Records a message that is no question that could be judged.
    package mutating func noteUnreadable(
        _ identity: Identity,
        _ first: DNSQuestion?,
        _ what: String,
        local: Facts?,
        at now: Instant,
    ) -> [BrokerAction] {
        let question = first ?? DNSQuestion(name: .root, type: .any)
        let key = NameWindow.Key(identity: identity, question: question, address: nil)
        if repeated(key) { return [] }
        var event = nameEvent(identity, question, at: now)
        if first == nil { event.name = nil }
        fill(&event, Decision(verdict: .deny, reason: .wrongProtocol), local)
        event.application = "dns"
        event.message = what
        if let together = tellTogether(event, of: identity, at: now) { return together }
        requests.note(&event)
        open(key, event, at: now)
        return [.record(event)]
    }

    private func nameEvent(_ identity: Identity, _ question: DNSQuestion, at now: Instant) -> Event {
        var event = Event(time: wall(now), kind: .request)
        event.workload = workloadName(identity)
        if identity.isWorkload { event.generation = UInt32(assignment(identity).generation) }
        event.name = question.name.text
        return event
    }

    private mutating func open(_ key: NameWindow.Key, _ event: Event, at now: Instant) {
        guard nameWindows.count < Self.nameWindowLimit else { return }
        var event = event
        event.message = nil
        nameWindows[key] = NameWindow(event: event, closes: now + Self.window)
    }

    /// At most this many names are counted at a time; what is beyond is recorded one by one.
    private static let nameWindowLimit = 16_384

    /// Closes windows of names, and tells of their repetitions.
    mutating func closeNameWindows(
        at now: Instant,
        where isOver: (NameWindow.Key, NameWindow) -> Bool,
    ) -> [BrokerAction] {
        var actions: [BrokerAction] = []
        for (key, window) in nameWindows where isOver(key, window) {
            nameWindows[key] = nil
            guard window.repetitions > 0 else { continue }
            var event = window.event
            event.time = wall(now)
            event.count = window.repetitions
            event.forgetProgram()
            event.add("repetitions within \(Self.windowSeconds) s: their programs are not known")
            requests.countAgain(&event)
            actions.append(.record(event))
        }
        return actions
    }

    // MARK: Answers

    /// What becomes of an answer before it is released: its addresses are pinned, and those that the name must not stand
    /// for are named, to be taken out of it.
    ///
    /// The changes come into force before the answer is sent.
    package mutating func release(
        _ identity: Identity,
        _ question: DNSQuestion,
        _ addresses: [IPAddress],
        mapped: [IPAddress] = [],
        timeToLive: UInt32,
        at now: Instant,
    ) -> (withheld: Set<IPAddress>, actions: [BrokerAction]) {
        guard let workload = workload(identity), let name = question.name.domain else { return ([], []) }
        var withheld: Set<IPAddress> = []
        var actions: [BrokerAction] = []
        var fresh: [IPAddress] = []
        for address in mapped + addresses {
            let isMapped = mapped.contains(address)
            guard isMapped || !workload.mayPin(address) else {
                fresh.append(address)
                continue
            }
            // What only observes is told of and let be.
            if mayAsk(identity, question, at: now).verdict != .observe { withheld.insert(address) }
            actions += noteSpecial(identity, question, address, at: now)
        }
        guard mayAsk(identity, question, at: now).verdict == .allow else { return (withheld, actions) }
        actions += pin(workload, identity, name, fresh, timeToLive: timeToLive, at: now)
        remindOf(name, question, of: workload, timeToLive: timeToLive, at: now)
        return (withheld, actions)
    }

    private mutating func noteSpecial(
        _ identity: Identity,
        _ question: DNSQuestion,
        _ address: IPAddress,
        at now: Instant,
    ) -> [BrokerAction] {
        let key = NameWindow.Key(identity: identity, question: question, address: address)
        if repeated(key) { return [] }
        var event = nameEvent(identity, question, at: now)
        event.verdict = settings.observesOnly ? .observe : .deny
        event.reason = .specialAddress
        event.application = "dns"
        event.answer = address
        let kind = SpecialAddresses.kind(of: address).map { " (\($0))" } ?? ""
        event.message = "the name was answered with a special-purpose address\(kind), which no rule allows"
        open(key, event, at: now)
        return [.record(event)]
    }
}
