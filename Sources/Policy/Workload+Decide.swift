package import Model

extension Workload {
    /// The evaluator: the one answer to a request, from which every other part is derived or against which it is
    /// tested.
    ///
    /// In this order: a transport without ports is denied; a deny rule that covers the address or one of its pinned names
    /// beats everything; special addresses need a rule that names exactly them; then the first allow rule that covers the
    /// address or, after those, a pinned name, whose program is certainly the one that asks, and that lets anything be
    /// spoken; then all those that declare a protocol, one of which the first flight must prove (`Decision.protocols`);
    /// the rest is unknown.
    package func decide(_ question: Question) -> Decision {
        guard question.destination.transport.hasPorts else { return .deny(.wrongProtocol) }
        if let denial = denial(of: question) { return denial }
        if deniedSpecialAddresses.contains(question.destination.address) { return .deny(.specialAddress) }
        let covering = rules(covering: question)
        let usable = covering.filter {
            allow[$0.rule].admits(question.executable, isCertain: question.executableIsCertain)
        }
        let plain = usable.first { allow[$0.rule].application == .any }
        if let found = plain ?? usable.first {
            return Decision(
                verdict: .allow,
                reason: .rule,
                rule: allow[found.rule].name,
                name: found.name,
                protocols: plain == nil ? Set(usable.map { allow[$0.rule].application }) : [],
            )
        }
        if let other = covering.first { return .deny(.wrongExecutable, rule: allow[other.rule].name, name: other.name) }
        return .deny(.unknownDestination)
    }

    /// What the first flight of a connection comes to that `decide` lets begin: which protocol is spoken, nil for none that
    /// a rule could declare, and the server that it names.
    ///
    /// Where a rule covers a name, the server name must be one of its names and pinned to the address. SSH names no
    /// server: there the pin has to do.
    package func decide(_ question: Question, spoken: ApplicationProtocol?, serverName: DomainName?) -> Decision {
        let decision = decide(question)
        guard decision.verdict == .allow, !decision.protocols.isEmpty else { return decision }
        if let serverName, let denial = denial(of: question.also(named: serverName)) { return denial }
        var nearest: Covering?
        for found in rules(covering: question) where allow[found.rule].application == spoken {
            let rule = allow[found.rule]
            guard rule.admits(question.executable, isCertain: question.executableIsCertain) else { continue }
            let isProven = serverName.map { question.names.contains($0) && rule.covers($0) } ?? false
            if found.name == nil || spoken == .ssh || isProven {
                let name = found.name == nil || spoken == .ssh ? found.name : serverName
                return Decision(verdict: .allow, reason: .rule, rule: rule.name, name: name)
            }
            nearest = nearest ?? found
        }
        guard let nearest else { return .deny(.wrongProtocol, rule: decision.rule, name: decision.name) }
        return .deny(.wrongName, rule: allow[nearest.rule].name, name: nearest.name)
    }

    /// An allow rule that covers what is asked for, and the first pinned name by which it does; nil when it covers the
    /// address itself.
    private struct Covering {
        let rule: Int
        let name: DomainName?
    }

    /// The allow rules that cover the address, and then those that cover one of its pinned names.
    private func rules(covering question: Question) -> [Covering] {
        let destination = question.destination
        let suits = { (rule: Int) in
            allow[rule].covers(port: destination.port, destination.transport)
                && allow[rule].speaks(over: destination.transport)
        }
        let byAddress = allow.indices.filter { suits($0) && allow[$0].covers(destination.address) }
        var byName: [Int: DomainName] = [:]
        for name in question.names {
            for rule in allowedNames.rules(covering: name)
            where byName[rule] == nil && suits(rule) && !byAddress.contains(rule) { byName[rule] = name }
        }
        return byAddress.map { Covering(rule: $0, name: nil) }
            + byName.sorted { $0.key < $1.key }.map { Covering(rule: $0.key, name: $0.value) }
    }

    /// The first deny rule that covers the address or one of its names.
    private func denial(of question: Question) -> Decision? {
        let destination = question.destination
        let byAddress = deny.firstIndex {
            $0.covers(port: destination.port, destination.transport) && $0.covers(destination.address)
        }
        let byName = deniedNames.first(coveringOneOf: question.names) { rule in
            deny[rule].covers(port: destination.port, destination.transport)
        }
        if let byName, byName.rule < byAddress ?? .max {
            return .deny(.deniedByRule, rule: deny[byName.rule].name, name: byName.name)
        }
        return byAddress.map { .deny(.deniedByRule, rule: deny[$0].name) }
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

extension Question {
    /// The same of an address that has this name too.
    fileprivate func also(named name: DomainName) -> Question {
        var question = self
        if !names.contains(name) { question.names.append(name) }
        return question
    }
}
