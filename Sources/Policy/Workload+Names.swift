package import Model

extension Workload {
    /// Whether any rule allows a name.
    package var usesNames: Bool {
        allow.contains { rule in
            rule.targets.contains { target in
                switch target {
                case .any, .name: true
                case .prefix: false
                }
            }
        }
    }

    /// Whether the workload may ask for records of this type at this name: what the resolver does before it asks anybody.
    ///
    /// In this order: a deny rule that covers the name on every port; then the first allow rule that covers it and permits
    /// the type (`RecordType.unlisted` and those of its `types`); the rest is `name-not-allowed`. A rule that covers a
    /// name covers its services too (`_ldap._tcp.example.org`).
    ///
    /// The name of an address (PTR) needs no rule of its own: one that covers the address will do, or one that covers a
    /// name of `pinned`, which are those that the broker pinned to that address.
    ///
    /// `type` is the mnemonic as `RecordType.read` gives it.
    package func decide(name: DomainName, type: String, pinned: [DomainName] = []) -> Decision {
        let service = RecordType.ofServices.contains(type) ? name.serviceBase : nil
        let names = service.map { [name, $0] } ?? [name]
        if let denial = denial(of: names) { return denial }
        let address = type == "PTR" ? IPAddress(reverseName: name) : nil
        if let address, let denial = denial(of: address, pinned) { return denial }
        let isUnlisted = RecordType.unlisted.contains(type)
        let found = allowedNames.first(coveringOneOf: names) { rule in
            isUnlisted || allow[rule].types.contains(type)
        }
        if let found { return Decision(verdict: .allow, reason: .rule, rule: allow[found.rule].name) }
        return address.flatMap { allowance(of: $0, pinned) } ?? .deny(.nameNotAllowed)
    }

    /// A deny rule that leaves no port of these names.
    private func denial(of names: [DomainName]) -> Decision? {
        let found = deniedNames.first(coveringOneOf: names) { deny[$0].coversEveryPort() }
        return found.map { .deny(.deniedByRule, rule: deny[$0.rule].name) }
    }

    /// Why the name of this address may not be asked for.
    private func denial(of address: IPAddress, _ pinned: [DomainName]) -> Decision? {
        if let rule = deny.first(where: { $0.covers(address) && $0.coversEveryPort() }) {
            return .deny(.deniedByRule, rule: rule.name)
        }
        return deniedSpecialAddresses.contains(address) ? .deny(.specialAddress) : denial(of: pinned)
    }

    /// By which rule the name of this address may be asked for.
    private func allowance(of address: IPAddress, _ pinned: [DomainName]) -> Decision? {
        if let rule = allow.first(where: { $0.covers(address) }) {
            return Decision(verdict: .allow, reason: .rule, rule: rule.name)
        }
        return allowedNames.first(coveringOneOf: pinned) { _ in true }.map { found in
            Decision(verdict: .allow, reason: .rule, rule: allow[found.rule].name, name: found.name)
        }
    }
}
