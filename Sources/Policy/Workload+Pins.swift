package import Model

extension Workload {
    /// On which ports the kernel may let the name's addresses pass without asking: those of the rules for the name that
    /// want no program and let anything be spoken, without those that a deny rule takes from the name.
    ///
    /// By transport, then by port; no two overlap or touch.
    package func portsByPin(of name: DomainName) -> [PinPorts] {
        let allowed = allowedNames.rules(covering: name).map { allow[$0] }.filter {
            $0.executable == nil && $0.application == .any
        }
        guard !allowed.isEmpty else { return [] }
        let denied = deniedNames.rules(covering: name).flatMap { deny[$0].ports }
        return [Transport.tcp, .udp].flatMap { transport in
            PortSpans(allowed.flatMap(\.ports), transport).subtracting(PortSpans(denied, transport)).ranges.map {
                PinPorts(transport: transport, ports: $0)
            }
        }
    }

    /// Whether names may be pinned to the address at all.
    ///
    /// To a special-purpose one only when an allow rule covers it as an address: a metadata service must be named exactly,
    /// and `any` counts only where it declares no protocol.
    package func mayPin(_ address: IPAddress) -> Bool {
        guard SpecialAddresses.isSpecialPurpose(address) else { return true }
        if deniedSpecialAddresses.contains(address) { return false }
        return allow.contains { rule in
            rule.targets.contains { $0.covers(address) && ($0 != .any || rule.application == .any) }
        }
    }
}
