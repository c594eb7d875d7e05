internal import Model
internal import Policy

extension HostFacts {
    /// Others who act on behalf of a workload, and are asked without a packet.
    var doorChecks: [Check] {
        [
            doorCheck(
                "doors.containers",
                "daemons of containers and machines",
                .containers,
                bypass: 36,
                consequence: "whoever talks to one starts a container or machine as root, outside every policy",
                mend: "take the workload's user out of the socket's group; InaccessiblePaths= in its unit",
            ),
            groups,
            doorCheck(
                "doors.names",
                "name services of the host",
                .names,
                bypass: 10,
                consequence: "they ask for any name in their own name: a channel that no policy sees",
                mend: "InaccessiblePaths= for their sockets, as in the drop-in of the examples; 'unidentified: deny'",
            ),
            doorCheck(
                "doors.bus",
                "the system bus",
                .bus,
                bypass: 10,
                consequence: "services behind it act for others (resolved, Avahi, systemd); polkit is not read",
                mend: "InaccessiblePaths=/run/dbus in the workloads' units",
            ),
            doorCheck(
                "doors.host",
                "memory and disks of the host",
                .host,
                bypass: 36,
                consequence: "whoever writes there rewrites the host, egressd included",
                mend: "PrivateDevices=yes in the workloads' units",
            ),
            doorCheck(
                "doors.virtual-machines",
                "virtual machines",
                .virtualMachines,
                bypass: 24,
                consequence: "a machine's packets are those of the program that runs it, and are judged as such",
                mend: "PrivateDevices=yes in the workloads' units",
                weight: .partly,
            ),
            loopbackServices,
        ]
    }

    /// A check of doors of one kind: who gets through which.
    func doorCheck(
        _ id: String,
        _ title: String,
        _ kind: Door.Kind,
        bypass: Int,
        consequence: String,
        mend: String,
        weight: Check.State = .open,
    ) -> Check {
        guard doors[0] != nil else { return Check(id, title, .unknown, "not looked at", bypass: bypass) }
        let there = Set(doors.values.joined().filter { $0.kind == kind }.map(\.path)).sorted()
        guard !there.isEmpty else { return Check(id, title, .absent, "none", bypass: bypass) }
        guard case .known(let processes) = processes else {
            let why = processes.reason ?? ""
            return Check(id, title, .unknown, "\(Wording.list(there)); who may open it: \(why)", bypass: bypass)
        }
        let candidates = processes.actors.isEmpty ? [Actor.anybody] : processes.actors
        var found: [String] = []
        for path in there {
            let who = candidates.filter { actor in
                seen(by: actor).contains { $0.kind == kind && $0.path == path && $0.admits(actor) }
            }
            guard !who.isEmpty else { continue }
            found.append("\(path) by \(Wording.list(unique(who.map(\.text)), limit: 2))")
        }
        guard !found.isEmpty else {
            guard processes.areAll else {
                let detail = "\(Wording.list(there)); some processes may not be looked at: run as root"
                return Check(id, title, .unknown, detail, bypass: bypass)
            }
            return Check(id, title, .enforced, "\(Wording.list(there)): closed to workloads", bypass: bypass)
        }
        return Check(
            id,
            title,
            weight,
            "open: \(Wording.list(found))",
            consequence: consequence,
            mend: mend,
            bypass: bypass,
        )
    }

    /// The doors in an actor's own view of the file system; the host's where that is not known.
    private func seen(by actor: Actor) -> [Door] {
        actor.process.flatMap { doors[$0.mounts] } ?? doors[0] ?? []
    }

    private func unique(_ texts: [String]) -> [String] {
        texts.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    private var groups: Check {
        Check("doors.groups", "groups that amount to root", processes) { processes in
            let actors = processes.actors.filter { $0.uid != nil }
            guard !actors.isEmpty else {
                return Check.Judgement(.absent, "no policy names a user, and no process of a workload runs now")
            }
            let members = actors.compactMap { actor -> String? in
                let names = Set(actor.groups).compactMap { privilegedGroups[$0] }.sorted()
                return names.isEmpty ? nil : "\(actor.text) in \(names.joined(separator: ", "))"
            }
            let roots = actors.filter { $0.uid == 0 }.map { "\($0.text) is root" }
            let found = unique(members + roots)
            guard !found.isEmpty else {
                return processes.areAll
                    ? Check.Judgement(.enforced, "no workload's user is in one, and none is root")
                    : Check.Judgement(.unknown, "some processes may not be looked at: run as root")
            }
            return Check.Judgement(
                .open,
                Wording.list(found),
                "such a member can become root, and root takes the rules away",
                mend: "a user of its own for each workload, in no other group",
            )
        }
    }

    private var loopbackServices: Check {
        let (id, title) = ("doors.loopback", "services of the host on loopback")
        guard case .known(let listeners) = listeners, case .known(let policies) = policies else {
            return Check(id, title, .unknown, self.listeners.reason ?? self.policies.reason ?? "", bypass: 26)
        }
        let loopback: [IPAddress] = [.v4(0x7f00_0001), .v6(1)]
        let foreign = listeners.filter { $0.workload == nil }
        var found: [String] = []
        for workload in policies.workloads {
            for rule in workload.allow where rule.targets.contains(where: { !$0.isName }) {
                let ports = foreign.filter { listener in
                    rule.covers(port: listener.port, .tcp)
                        && loopback.contains { rule.covers($0) && listener.answers(at: $0) }
                }.map(\.port)
                guard !ports.isEmpty else { continue }
                let list = Wording.list(Set(ports).sorted().map(String.init))
                found.append("\(workload.name): rule '\(rule.name)' reaches port \(list)")
            }
        }
        guard !found.isEmpty else {
            let count = Wording.count(
                foreign.filter { listener in loopback.contains(where: listener.answers) }.count,
                "service"
            )
            return Check(id, title, .enforced, "\(count) of no workload; no rule reaches one", bypass: 26)
        }
        return Check(
            id,
            title,
            .open,
            Wording.list(found),
            consequence: "a proxy or forwarder there goes on in its own name",
            mend: "name the ports that the workload needs, and what listens there",
            bypass: 26,
        )
    }
}

extension Listener {
    /// Whether a connection to this address of the host reaches it: a wildcard of IPv6 takes IPv4 as well.
    fileprivate func answers(at other: IPAddress) -> Bool {
        address == other || address == .v6(0) || address == .v4(0) && other.isV4
    }
}
