package import Model

extension Workload {
    /// The evaluator: the one answer to a request, from which every other part is derived or against which it is
    /// tested.
    ///
    /// In this order: a transport without ports is denied; a deny rule that covers the address or one of its pinned names
    /// beats everything; special addresses need a rule that names exactly them; then the first allow rule that covers the
    /// address and needs no inspected protocol, and whose program is certainly the one that asks; then the first one that
    /// covers a pinned name, whatever protocol it declares for this transport; the rest is unknown.
    package func decide(_ question: Question) -> Decision {
        let destination = question.destination
        guard destination.transport.hasPorts else { return .deny(.wrongProtocol) }
        if let denial = denial(of: question) { return denial }
        if deniedSpecialAddresses.contains(destination.address) { return .deny(.specialAddress) }
        var otherProgram: String?
        // Rules that declare a protocol allow no address until the first flight can be read.
        for rule in allow where rule.application == .any && rule.covers(destination) {
            if rule.admits(question.executable, isCertain: question.executableIsCertain) {
                return Decision(verdict: .allow, reason: .rule, rule: rule.name)
            }
            otherProgram = otherProgram ?? rule.name
        }
        let byName = decideByName(question)
        if let byName, byName.verdict == .allow { return byName }
        if let otherProgram { return .deny(.wrongExecutable, rule: otherProgram) }
        return byName ?? .deny(.unknownDestination)
    }

    /// The first deny rule that covers the address or one of its names.
    private func denial(of question: Question) -> Decision? {
        let destination = question.destination
        let byAddress = deny.firstIndex { $0.covers(destination) }
        let byName = deniedNames.first(coveringOneOf: question.names) { rule in
            deny[rule].covers(port: destination.port, destination.transport)
        }
        if let byName, byName.rule < byAddress ?? .max {
            return .deny(.deniedByRule, rule: deny[byName.rule].name, name: byName.name)
        }
        return byAddress.map { .deny(.deniedByRule, rule: deny[$0].name) }
    }

    /// What the allow rules say of the pinned names: allowed, only for another program, or nil where none covers one.
    private func decideByName(_ question: Question) -> Decision? {
        guard !question.names.isEmpty else { return nil }
        let (port, transport) = (question.destination.port, question.destination.transport)
        let covers = { (rule: Int) in allow[rule].covers(port: port, transport) && allow[rule].speaks(over: transport) }
        let found = allowedNames.first(coveringOneOf: question.names) { rule in
            covers(rule) && allow[rule].admits(question.executable, isCertain: question.executableIsCertain)
        }
        if let found {
            return Decision(verdict: .allow, reason: .rule, rule: allow[found.rule].name, name: found.name)
        }
        let other = allowedNames.first(coveringOneOf: question.names, where: covers)
        return other.map { .deny(.wrongExecutable, rule: allow[$0.rule].name, name: $0.name) }
    }

    /// The first `listen` rule that lets this peer open a connection to the local port.
    package func admits(peer: IPAddress, port: UInt16, transport: Transport) -> ListenRule? {
        listen.first { rule in
            rule.ports.contains { $0.covers(port, transport) } && rule.from.contains { $0.contains(peer) }
        }
    }

    /// What the kernel's maps may hold: the rules that need neither an inspected protocol nor a program, without their
    /// names, and without those that had nothing else.
    package var mappable: [Rule] {
        allow.compactMap { rule in
            guard rule.application == .any, rule.executable == nil else { return nil }
            var addresses = rule
            addresses.targets.removeAll(where: \.isName)
            return addresses.targets.isEmpty ? nil : addresses
        }
    }
}

extension Rule {
    /// Whether the rule covers the address and the port.
    fileprivate func covers(_ destination: Destination) -> Bool {
        covers(port: destination.port, destination.transport) && covers(destination.address)
    }

    /// Whether the program may use the rule.
    ///
    /// Paths are compared byte for byte, and an uncertain one is none.
    package func admits(_ program: String?, isCertain: Bool) -> Bool {
        guard let executable else { return true }
        guard let program, isCertain else { return false }
        return executable.utf8.elementsEqual(program.utf8)
    }
}
