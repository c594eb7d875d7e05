package import Model

/// Why a policy says what it says about one destination: the answer, and what each rule had to do with it.
package struct Explanation: Hashable, Sendable {
    /// How one rule stands to what was asked.
    package enum Outcome: String, Sendable {
        /// It covers the destination.
        case covers
        /// It covers the destination once the protocol it declares is spoken there.
        case needsProtocol = "needs-protocol"
        /// It covers the destination for its own program alone, and nobody said which one asks.
        ///
        /// One that also declares a protocol is `needsProtocol`.
        case needsExecutable = "needs-executable"
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
    /// The program that was said to ask.
    package let executable: String?

    /// One of these programs must ask, sorted; empty when any may, when the one that asks is known, and when nothing is
    /// allowed.
    package var executables: [String] {
        guard executable == nil, decision.verdict == .allow else { return [] }
        let allowing = lines.filter { !$0.isDeny && $0.outcome.covers }.map(\.rule.executable)
        return allowing.contains(nil) ? [] : Set(allowing.compactMap(\.self)).sorted()
    }
}

extension Explanation.Outcome {
    /// Whether the rule covers the destination, with whatever else it wants.
    package var covers: Bool {
        switch self {
        case .covers, .needsProtocol, .needsExecutable: true
        case .otherExecutable, .otherPort, .otherDestination: false
        }
    }
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
            guard rule.application == .any else { return .needsProtocol }
            return executable == nil && rule.executable != nil ? .needsExecutable : .covers
        }
        let decision = decide(subject, port: port, transport: transport, executable: executable)
        return Explanation(
            decision: decision,
            verdict: self.outcome(of: decision),
            lines: deny.map { Explanation.Line(isDeny: true, rule: $0, outcome: outcome($0)) }
                + allow.map { Explanation.Line(isDeny: false, rule: $0, outcome: outcome($0)) },
            executable: executable,
        )
    }
}
