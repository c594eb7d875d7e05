/// Something that is legal in a policy and may not be what its author means.
package struct PolicyWarning: Hashable, Sendable, CustomStringConvertible {
    /// The file, or the folder for what concerns all.
    package let file: String
    package let workload: String?
    package let rule: String?
    package let message: String

    /// One line: `policies/a.yaml: warning: rule 'packages': …`.
    package var description: String {
        "\(file): warning: \(rule.map { "rule '\($0)': " } ?? "")\(message)"
    }
}

extension Workload {
    /// What `policy check` warns of, in the order of the file.
    package var warnings: [PolicyWarning] {
        allow.flatMap { rule in
            [warning(of: rule), warningOfTypes(rule)].compactMap(\.self).map { message in
                PolicyWarning(file: file, workload: name, rule: rule.name, message: message)
            }
        }
            + deny.filter { $0.targets.contains(where: \.isName) }.map { rule in
                let message = "a denied name takes only the addresses pinned to it; name the addresses too"
                return PolicyWarning(file: file, workload: name, rule: rule.name, message: message)
            }
    }

    private func warning(of rule: Rule) -> String? {
        guard rule.application == .any, rule.targets.contains(where: \.isName) else { return nil }
        return "a name with 'protocol: any' trusts the address alone: whoever shares it is reached, in any protocol"
    }

    private func warningOfTypes(_ rule: Rule) -> String? {
        let idle = rule.types.filter(RecordType.unlisted.contains)
        return idle.isEmpty
            ? nil : "no need to list \(idle.joined(separator: ", ")) in 'types'; remove what is always permitted"
    }
}

extension PolicySet {
    /// What `policy check` warns of, by workload.
    package var warnings: [PolicyWarning] {
        guard !workloads.isEmpty else {
            let message = "no policy here; every process of the host is unidentified"
            return [PolicyWarning(file: folder, workload: nil, rule: nil, message: message)]
        }
        return workloads.flatMap(\.warnings)
    }

    /// The expectations of all policies that are not met, by workload.
    package var failures: [ExpectationFailure] { workloads.flatMap { $0.check($0.expect) } }
}
