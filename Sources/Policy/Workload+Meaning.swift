package import Model

extension Workload {
    /// What the policy means for a destination, as if names were pinned and the declared protocol were spoken.
    ///
    /// For expectations and for `policy explain`: it says what the rules are for, not what is in force. Without a
    /// program, a rule that wants one counts as asked by that one. An address is not covered by names, nor a name by
    /// addresses.
    package func decide(
        _ subject: Expectation.Subject,
        port: UInt16,
        transport: Transport = .tcp,
        executable: String? = nil,
    ) -> Decision {
        guard transport.hasPorts else { return .deny(.wrongProtocol) }
        let covers = { (rule: Rule) in rule.covers(port: port, transport) && rule.covers(subject) }
        if let rule = deny.first(where: covers) { return .deny(.deniedByRule, rule: rule.name) }
        if case .address(let address) = subject, deniedSpecialAddresses.contains(address) {
            return .deny(.specialAddress)
        }
        var otherProgram: String?
        for rule in allow where rule.speaks(over: transport) && covers(rule) {
            if executable == nil || rule.admits(executable, isCertain: true) {
                return Decision(verdict: .allow, reason: .rule, rule: rule.name)
            }
            otherProgram = otherProgram ?? rule.name
        }
        if let otherProgram { return .deny(.wrongExecutable, rule: otherProgram) }
        if case .name = subject, !allow.contains(where: { $0.covers(subject) }) { return .deny(.nameNotAllowed) }
        return .deny(.unknownDestination)
    }

    /// What the policy means for a name.
    ///
    /// See `decide(_:port:transport:executable:)`.
    package func decide(
        name: DomainName,
        port: UInt16,
        transport: Transport = .tcp,
        executable: String? = nil,
    ) -> Decision {
        decide(.name(name), port: port, transport: transport, executable: executable)
    }

    /// The verdict that comes out of a decision once `unknown` has its say.
    package func outcome(of decision: Decision) -> Verdict {
        guard decision.verdict == .deny else { return decision.verdict }
        switch (decision.reason, unknown) {
        case (.unknownDestination, .hold): return .hold
        case (.unknownDestination, .observe): return .observe
        default: return .deny
        }
    }

    /// The expectations that the policy does not meet, in their order.
    package func check(_ expectations: [Expectation]) -> [ExpectationFailure] {
        expectations.compactMap { expectation in
            let decision = decide(
                expectation.subject,
                port: expectation.port,
                transport: expectation.transport,
                executable: expectation.executable,
            )
            let verdict = outcome(of: decision)
            guard verdict != expectation.verdict else { return nil }
            return ExpectationFailure(
                workload: name,
                file: file,
                expectation: expectation,
                verdict: verdict,
                decision: decision,
            )
        }
    }
}

extension Rule {
    /// Whether a target covers what is asked for.
    package func covers(_ subject: Expectation.Subject) -> Bool {
        switch subject {
        case .address(let address): covers(address)
        case .name(let name): covers(name)
        }
    }

    /// Whether the declared protocol can be spoken over the transport.
    package func speaks(over transport: Transport) -> Bool {
        application.transport == nil || application.transport == transport
    }
}
