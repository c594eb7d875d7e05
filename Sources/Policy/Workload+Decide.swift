package import Model

extension Workload {
    /// The evaluator: the one answer to a request, from which every other part is derived or against which it is
    /// tested.
    ///
    /// In this order: a transport without ports is denied; a deny rule beats everything; special addresses need a rule
    /// that names exactly them; then the first allow rule that covers the destination and needs neither a name nor an
    /// inspected protocol, and whose program is certainly the one that asks; the rest is unknown.
    package func decide(_ question: Question) -> Decision {
        let destination = question.destination
        guard destination.transport.hasPorts else { return .deny(.wrongProtocol) }
        let covers = { (rule: Rule) in
            rule.covers(port: destination.port, destination.transport) && rule.covers(destination.address)
        }
        if let rule = deny.first(where: covers) { return .deny(.deniedByRule, rule: rule.name) }
        if deniedSpecialAddresses.contains(destination.address) { return .deny(.specialAddress) }
        var otherProgram: String?
        // Rules that declare a protocol allow nothing until the first flight can be read.
        for rule in allow where rule.application == .any && covers(rule) {
            if rule.admits(question.executable, isCertain: question.executableIsCertain) {
                return Decision(verdict: .allow, reason: .rule, rule: rule.name)
            }
            otherProgram = otherProgram ?? rule.name
        }
        guard let otherProgram else { return .deny(.unknownDestination) }
        return .deny(.wrongExecutable, rule: otherProgram)
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
    /// Whether the program may use the rule.
    ///
    /// Paths are compared byte for byte, and an uncertain one is none.
    package func admits(_ program: String?, isCertain: Bool) -> Bool {
        guard let executable else { return true }
        guard let program, isCertain else { return false }
        return executable.utf8.elementsEqual(program.utf8)
    }
}
