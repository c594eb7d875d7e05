extension HostFacts {
    /// The capabilities that running processes have now.
    var powers: Check {
        let (id, title) = ("path.capabilities", "capabilities of workloads' processes")
        return actorCheck(id, title, bypass: 22) { actors in
            let strong = actors.filter { !$0.powers.isEmpty }
            guard !strong.isEmpty else {
                let count = Wording.count(actors.count, "process", "processes")
                return Check.Judgement(.enforced, "none of \(count) has one that reaches around the rules")
            }
            let list = strong.map { "\($0.text): \(Wording.list($0.powers.map(\.name), limit: 3))" }
            let effects = Set(strong.flatMap(\.powers).map(\.effect))
            return Check.Judgement(
                .open,
                Wording.list(list),
                Power.Effect.allCases.filter(effects.contains).map(\.consequence).joined(separator: "; "),
                mend: "CapabilityBoundingSet= and NoNewPrivileges=yes in the workloads' units",
            )
        }
    }

    /// Whether running processes may gain more.
    var privileges: Check {
        actorCheck("path.privileges", "gaining privileges", bypass: 22) { actors in
            let loose = actors.filter { $0.process?.isConfined == false }
            guard !loose.isEmpty else { return Check.Judgement(.enforced, "NoNewPrivileges for every process") }
            return Check.Judgement(
                .partly,
                "\(Wording.list(loose.map(\.text))): no NoNewPrivileges",
                "setuid programs and file capabilities (sudo, ping) work for them; sudoers is not read",
                mend: "NoNewPrivileges=yes in the workloads' units",
            )
        }
    }

    /// Whether running processes are where the rules are.
    var networks: Check {
        actorCheck("path.namespaces", "network namespaces of workloads", bypass: 24) { actors in
            let elsewhere = actors.filter { $0.process?.isInNetwork == false }
            let untold = actors.filter { $0.process?.isInNetwork == nil }
            guard elsewhere.isEmpty else {
                return Check.Judgement(
                    .open,
                    "\(Wording.list(elsewhere.map(\.text))) in another network namespace",
                    "the table of this one does not see their packets, unless they are forwarded through it: then as "
                        + "'unidentified' says",
                    mend: "no PrivateNetwork=, no containers for workloads; or run egressd in that namespace",
                )
            }
            guard untold.isEmpty else {
                return Check.Judgement(.unknown, "\(Wording.list(untold.map(\.text))): not permitted to look")
            }
            return Check.Judgement(.enforced, "every process of a workload is in this one")
        }
    }

    /// A check of the running processes of workloads.
    private func actorCheck(
        _ id: String,
        _ title: String,
        bypass: Int,
        _ judge: ([Actor]) -> Check.Judgement,
    ) -> Check {
        Check(id, title, processes, bypass: bypass) { processes in
            let actors = processes.actors.filter { $0.process != nil }
            guard !actors.isEmpty else { return Check.Judgement(.absent, "no process of a workload runs now") }
            let judgement = judge(actors)
            guard processes.areAll || judgement.state == .open else {
                return Check.Judgement(.unknown, "some processes may not be looked at: run as root")
            }
            return judgement
        }
    }
}
