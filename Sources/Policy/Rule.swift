package import Model

/// One line of `allow` or `deny`.
package struct Rule: Hashable, Sendable {
    /// The name that events and errors give; unique among the `allow` and `deny` of its workload.
    package var name: String
    /// Where to; never empty.
    package var targets: [Target]
    /// On which ports; never empty.
    package var ports: [PortSpec]
    /// What must be spoken there; `any` for a deny.
    package var application: ApplicationProtocol
    /// The one program that may; nil for every program, and for a deny.
    package var executable: String?
    /// The record types that may be asked of its names besides those that need no entry (`RecordType.unlisted`).
    ///
    /// Mnemonics as `RecordType.read` gives them; none for a deny.
    package var types: [String]

    package init(
        name: String,
        targets: [Target],
        ports: [PortSpec],
        application: ApplicationProtocol = .any,
        executable: String? = nil,
        types: [String] = [],
    ) {
        self.name = name
        self.targets = targets
        self.ports = ports
        self.application = application
        self.executable = executable
        self.types = types
    }

    /// Whether an address target covers the address.
    package func covers(_ address: IPAddress) -> Bool { targets.contains { $0.covers(address) } }

    /// Whether a target covers the name.
    package func covers(_ name: DomainName) -> Bool { targets.contains { $0.covers(name) } }

    /// Whether a port entry covers the port.
    package func covers(port: UInt16, _ transport: Transport) -> Bool { ports.contains { $0.covers(port, transport) } }

    /// Whether no port of TCP and UDP is left out.
    package func coversEveryPort() -> Bool {
        ports.contains(.any) || [.tcp, .udp].allSatisfy { PortSpans(ports, $0).contains(1...(.max)) }
    }

    /// Whether one of the targets is exactly this address.
    package func names(exactly address: IPAddress) -> Bool { targets.contains(.prefix(AddressPrefix(address))) }
}

/// One line of `listen`: who may open connections to the workload.
package struct ListenRule: Hashable, Sendable {
    /// The name that events give; unique among the `listen` of its workload.
    package var name: String
    /// Where from; never empty.
    ///
    /// `any` is both families' /0.
    package var from: [AddressPrefix]
    /// To which local ports; never empty.
    package var ports: [PortSpec]

    package init(name: String, from: [AddressPrefix], ports: [PortSpec]) {
        self.name = name
        self.from = from
        self.ports = ports
    }
}
