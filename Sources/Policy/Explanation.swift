package import Model

/// Why a policy says what it says about one destination: the answer, and what each rule had to do with it.
package struct Explanation: Hashable, Sendable {
    /// How one rule stands to what was asked.
    package enum Outcome: String, Sendable {
        /// It covers the destination.
        case covers
        /// It covers the destination once the protocol it declares is spoken there.
        case needsProtocol = "needs-protocol"
        /// It is for another program.
        case otherExecutable = "other-executable"
        /// It is for the destination, on other ports or another transport.
        case otherPort = "other-port"
        /// It is for other destinations.
        case otherDestination = "other-destination"
    }

    /// One rule and how it stands to what was asked.
    package struct Line: Hashable, Sendable {
        /// Whether the rule stands under `deny`.
        package let isDeny: Bool
        package let rule: Rule
        package let outcome: Outcome
    }

    /// What the policy means, names as if pinned and protocols as if spoken.
    package let decision: Decision
    /// The decision once `unknown` has its say.
    package let verdict: Verdict
    /// The denies, then the allows, in the order of the file.
    package let lines: [Line]
}

extension Workload {
    /// Explains what the policy says about one destination.
    package func explain(
        _ subject: Expectation.Subject,
        port: UInt16,
        transport: Transport = .tcp,
        executable: String? = nil,
    ) -> Explanation {
        let outcome = { (rule: Rule) -> Explanation.Outcome in
            guard rule.covers(subject) else { return .otherDestination }
            guard rule.covers(port: port, transport), rule.speaks(over: transport) else { return .otherPort }
            guard executable == nil || rule.admits(executable, isCertain: true) else { return .otherExecutable }
            return rule.application == .any ? .covers : .needsProtocol
        }
        let decision = decide(subject, port: port, transport: transport, executable: executable)
        return Explanation(
            decision: decision,
            verdict: self.outcome(of: decision),
            lines: deny.map { Explanation.Line(isDeny: true, rule: $0, outcome: outcome($0)) }
                + allow.map { Explanation.Line(isDeny: false, rule: $0, outcome: outcome($0)) },
        )
    }
}
