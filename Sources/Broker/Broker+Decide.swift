internal import Model
internal import Policy
internal import Ruleset

extension Broker {
    /// What the policy, the grants and the settings say of a request on its way out, and by which rule or grant.
    ///
    /// What is open already (`isOpen`) stays tied to the names that its address was known by.
    func decide(
        _ identity: Identity,
        _ destination: Destination,
        _ process: ProcessRecord?,
        isOpen: Bool = false,
    ) -> Decision {
        guard identity.isWorkload, let name = names[identity.number], let workload = policies[name] else {
            return decideUngoverned(identity, destination)
        }
        let table = pins[name]
        let known = isOpen ? table?.namesEver(of: destination.address) : table?.names(of: destination.address)
        let decision = decide(workload, destination, process, names: known ?? [])
        if decision.verdict == .allow, !decision.protocols.isEmpty, isOpen {
            // Its first flight is long past: it stays what it was judged to be then.
            return Decision(verdict: .allow, reason: decision.reason, rule: decision.rule, name: decision.name)
        }
        guard decision.verdict == .deny else { return decision }
        if settings.observesOnly { return Decision(verdict: .observe, reason: .observeMode, rule: decision.rule) }
        guard decision.reason == .unknownDestination else { return decision }
        switch workload.unknown {
        case .deny: return decision
        case .hold: return Decision(verdict: .hold, reason: .unknownDestination)
        case .observe: return Decision(verdict: .observe, reason: .observeMode)
        }
    }

    /// The same without `unknown` and modes, for an address that these names were answered with.
    func decide(
        _ workload: Workload,
        _ destination: Destination,
        _ process: ProcessRecord?,
        names: [DomainName],
    ) -> Decision {
        // A name server is reached through the resolver alone, whatever a rule says.
        guard destination.port != 53 || !destination.transport.hasPorts else {
            return Decision(verdict: .deny, reason: .nameNotAllowed)
        }
        let decision = workload.decide(
            Policy.Question(
                destination: destination,
                executable: process?.executable,
                executableIsCertain: process?.isCertain ?? false,
                names: names,
            ),
        )
        let grants = grants(for: workload.name, destination, names)
        guard !grants.isEmpty, !decision.isPlain,
            decision.verdict == .allow || decision.reason == .unknownDestination || decision.reason == .wrongExecutable
        else { return decision }
        let protocols = Set(grants.map { $0.application(over: destination.transport) })
        guard decision.verdict != .allow || protocols.contains(.any) else {
            var wider = decision
            wider.protocols.formUnion(protocols)
            return wider
        }
        let grant = grants.first { $0.application(over: destination.transport) == .any } ?? grants[0]
        return Decision(
            verdict: .allow,
            reason: .grant,
            rule: "grant \(grant.id)",
            name: grant.subject.name,
            protocols: protocols.contains(.any) ? [] : protocols,
        )
    }

    func decideUngoverned(_ identity: Identity, _ destination: Destination) -> Decision {
        if identity == .daemon, settings.upstreams.contains(destination) {
            return Decision(verdict: .allow, reason: .rule)
        }
        let deny = Decision(verdict: .deny, reason: identity == .daemon ? .unknownDestination : .unidentified)
        if settings.observesOnly { return Decision(verdict: .observe, reason: .observeMode) }
        // A user that a workload's identity does not name is not the host's business but the workload's.
        guard identity == .unidentified || identity == .forwarded else { return deny }
        switch settings.unidentified {
        case .allow: return Decision(verdict: .allow, reason: .unidentified)
        case .observe: return Decision(verdict: .observe, reason: .unidentified)
        case .deny: return deny
        }
    }

    /// The grants that cover a destination, which was answered for these names; in order of their numbers.
    func grants(for workload: String, _ destination: Destination, _ names: [DomainName]) -> [Grant] {
        guard !grants.isEmpty else { return [] }
        let port = ServicePort(transport: destination.transport, port: destination.port)
        let found = grants.values.filter { grant in
            guard grant.state == .active, grant.workload == workload else { return false }
            switch grant.subject {
            case .address(let granted): return granted == destination
            case .name(let name): return names.contains(name) && grant.ports.contains(port)
            case .others: return false
            }
        }
        return found.sorted { $0.id < $1.id }
    }
}

extension Broker {
    /// What is left of a decision where no first flight can be waited for: on loopback, and for what answers somebody else.
    func unproved(_ decision: Decision) -> Decision {
        guard decision.verdict == .allow, !decision.protocols.isEmpty else { return decision }
        return refusal(.wrongProtocol, of: decision)
    }

    /// A refusal of what the decision let begin; in observe mode nothing is refused.
    func refusal(_ reason: Reason, of decision: Decision) -> Decision {
        if decision.verdict == .observe { return decision }
        let isObserved = settings.observesOnly
        return Decision(
            verdict: isObserved ? .observe : .deny,
            reason: isObserved ? .observeMode : reason,
            rule: decision.rule,
            name: decision.name,
        )
    }
}
