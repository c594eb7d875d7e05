package import Model

/// What is enforced on a host, and what is not.
package struct CoverageReport: Hashable, Sendable {
    package let host: String
    package let kernel: String
    /// In the order in which a packet meets them.
    package let checks: [Check]
    /// Whether of the host nothing could be looked at: neither its rules nor its processes.
    package let isBlind: Bool

    package init(_ facts: HostFacts) {
        host = facts.host
        kernel = facts.kernel
        checks =
            facts.daemonChecks + facts.kernelChecks + facts.pathChecks + facts.doorChecks + facts.policyChecks
            + facts.residualChecks
        isBlind = facts.table.value == nil && facts.chains.value == nil && facts.processes.value == nil
    }

    /// How many checks have a state.
    package func count(_ state: Check.State) -> Int { checks.count { $0.state == state } }

    /// Whether nothing is open, and nothing is unknown: what was not looked at may be open.
    package var isClosed: Bool { count(.open) == 0 && count(.unknown) == 0 }

    /// The report as one object, whose shape does not depend on the host.
    package var json: JSON {
        [
            "host": .string(host), "kernel": .string(kernel), "checks": .array(checks.map(\.json)),
            "summary": .object(
                Check.State.allCases.map { ($0.rawValue, .integer(Int64(count($0)))) },
            ),
        ]
    }
}
