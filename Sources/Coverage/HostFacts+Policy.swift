internal import Model
internal import Policy

extension HostFacts {
    /// What the policies themselves leave open.
    var policyChecks: [Check] {
        [
            files, strangers,
            rules(
                "policy.unknown",
                "what no rule names",
                .open,
                good: "denied, or held for an operator",
                consequence: "'unknown: observe' lets it pass, and records it",
                mend: "end with 'unknown: deny'",
            ) { $0.unknown == .observe ? [$0.name] : [] },
            rules(
                "policy.wide",
                "rules for half the internet",
                .open,
                bypass: 35,
                good: "no rule is wider than a /8 of IPv4 or a /16 of IPv6",
                consequence: "who owns an address there may take in what the workload sends",
                mend: "name the destinations",
            ) { workload in workload.allow.filter(\.isWide).map { "\(workload.name): '\($0.name)'" } },
            rules(
                "policy.protocols",
                "names without a protocol",
                .partly,
                bypass: 3,
                good: "the first flight proves every name",
                consequence: "the address alone is trusted: whoever shares it is reached, in any protocol",
                mend: "a 'protocol' for these rules",
            ) { workload in workload.allow.filter(\.trustsAddress).map { "\(workload.name): '\($0.name)'" } },
            rules(
                "policy.users",
                "workloads of any user",
                .partly,
                bypass: 22,
                good: "every workload names its user",
                consequence: "every user in its cgroup, root too, has what the workload has",
                mend: "'user' under 'identity'",
            ) { $0.user == nil ? [$0.name] : [] },
            rules(
                "policy.listen",
                "workloads that anybody may reach",
                .partly,
                bypass: 19,
                good: "no 'listen' is from everywhere",
                consequence: "who opens the connection is answered: a way out that the peer begins",
                mend: "name the peers in 'from'",
            ) { workload in
                workload.listen.filter { $0.from.contains { $0.length == 0 } }.map { "\(workload.name): '\($0.name)'" }
            },
        ]
    }

    private var files: Check {
        let (id, title) = ("policy.files", "policies")
        guard case .known(let policies) = policies else {
            return Check(id, title, .unknown, self.policies.reason ?? "", mend: "egressd policy check")
        }
        guard !policies.workloads.isEmpty else {
            return Check(
                id,
                title,
                .open,
                "no policy in \(policies.folder)",
                consequence: "every process of the host is unidentified",
                mend: "one file for each workload; 'egressd policy check' reads them",
            )
        }
        return Check(
            id,
            title,
            .enforced,
            "\(Wording.count(policies.workloads.count, "workload")) in \(policies.folder)"
        )
    }

    private var strangers: Check {
        let (id, title) = ("policy.unidentified", "processes of no workload")
        let count = processes.value.map { "; \(Wording.count($0.unidentified, "process", "processes")) now" } ?? ""
        switch unidentified {
        case nil: return Check(id, title, .unknown, configuration.reason ?? "the daemon did not say")
        case "deny": return Check(id, title, .enforced, "denied\(count)")
        case let setting?:
            return Check(
                id,
                title,
                .open,
                "'unidentified: \(setting)'\(count)",
                consequence: setting == "allow"
                    ? "they go where they want, unrecorded" : "they go where they want; it is recorded",
                mend: "read 'egressd ctl log', write policies for what belongs here, and set 'unidentified: deny'",
            )
        }
    }

    /// A check for something that some workloads or rules have and should not.
    private func rules(
        _ id: String,
        _ title: String,
        _ state: Check.State,
        bypass: Int? = nil,
        good: String,
        consequence: String,
        mend: String,
        _ find: (Workload) -> [String],
    ) -> Check {
        guard case .known(let policies) = policies else {
            return Check(id, title, .unknown, "the policies cannot be read", bypass: bypass)
        }
        let found = policies.workloads.flatMap(find)
        guard !found.isEmpty else {
            return policies.workloads.isEmpty
                ? Check(id, title, .absent, "no workload", bypass: bypass)
                : Check(id, title, .enforced, good, bypass: bypass)
        }
        return Check(
            id,
            title,
            state,
            Wording.list(found),
            consequence: consequence,
            mend: mend,
            bypass: bypass,
        )
    }
}

extension Rule {
    /// Whether an address target is wider than any one network's operator is likely to own.
    fileprivate var isWide: Bool {
        targets.contains { target in
            switch target {
            case .any: true
            case .prefix(let prefix): prefix.length < (prefix.address.isV4 ? 8 : 16)
            case .name: false
            }
        }
    }

    /// Whether a name of it is proved by nothing that is spoken.
    fileprivate var trustsAddress: Bool { application == .any && targets.contains(where: \.isName) }
}
