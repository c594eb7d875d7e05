package import Model

/// What the evaluator is asked: whether a workload may reach a destination.
package struct Question: Hashable, Sendable {
    package var destination: Destination
    /// The program that asks; nil when it is not known.
    package var executable: String?
    /// Whether every process that could have asked runs this program.
    package var executableIsCertain: Bool
    /// The names that the broker pinned to the address for this workload.
    package var names: [DomainName]

    package init(
        destination: Destination,
        executable: String? = nil,
        executableIsCertain: Bool = false,
        names: [DomainName] = [],
    ) {
        self.destination = destination
        self.executable = executable
        self.executableIsCertain = executableIsCertain
        self.names = names
    }
}

/// What the evaluator says: `allow` or `deny`, why, and by which rule.
package struct Decision: Hashable, Sendable {
    /// `allow` or `deny`; what becomes of the unknown is for `Workload.unknown` to say.
    package var verdict: Verdict
    package var reason: Reason
    /// The rule that allowed it, denied it, or would have allowed another program.
    package var rule: String?
    /// The pinned name that the rule covers; nil when the rule covers the address itself.
    package var name: DomainName?
    /// One of these must be spoken, and the first flight must prove it; empty when anything may be.
    package var protocols: Set<ApplicationProtocol>

    package init(
        verdict: Verdict,
        reason: Reason,
        rule: String? = nil,
        name: DomainName? = nil,
        protocols: Set<ApplicationProtocol> = [],
    ) {
        self.verdict = verdict
        self.reason = reason
        self.rule = rule
        self.name = name
        self.protocols = protocols
    }

    /// Whether it is allowed whatever is spoken.
    package var isPlain: Bool { verdict == .allow && protocols.isEmpty }

    static func deny(_ reason: Reason, rule: String? = nil, name: DomainName? = nil) -> Decision {
        Decision(verdict: .deny, reason: reason, rule: rule, name: name)
    }
}
