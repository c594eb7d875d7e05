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
                "doors.user-manager",
                "service managers of users",
                .userManager,
                bypass: 23,
                consequence: unidentified == "deny"
                    ? "it starts programs outside the workload: of no workload, and denied"
                    : "it starts programs outside the workload: of no workload, and let through as 'unidentified' says",
                mend: "TemporaryFileSystem=/run/user:ro in the workloads' units; no lingering for their users",
                weight: unidentified == "deny" ? .partly : .open,
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
        Check("doors.groups", "privileged groups", processes) { processes in
            let actors = processes.actors.filter { $0.uid != nil }
            guard !actors.isEmpty else {
                return Check.Judgement(.absent, "no policy names a user, and no process of a workload runs now")
            }
            var reaches: Set<PrivilegedGroup.Reach> = []
            let members = actors.compactMap { actor -> String? in
                let groups = Set(actor.groups).compactMap { privilegedGroups[$0] }
                reaches.formUnion(groups.map(\.reach))
                let names = groups.map(\.name).sorted()
                return names.isEmpty ? nil : "\(actor.text) in \(names.joined(separator: ", "))"
            }
            let roots = actors.filter { $0.uid == 0 }.map { "\($0.text) is root" }
            if !roots.isEmpty { reaches.insert(.becomesRoot) }
            let found = unique(members + roots)
            guard !found.isEmpty else {
                return processes.areAll
                    ? Check.Judgement(.enforced, "no workload's user is in one, and none is root")
                    : Check.Judgement(.unknown, "some processes may not be looked at: run as root")
            }
            return Check.Judgement(
                reaches.contains(where: \.isOpen) ? .open : .partly,
                Wording.list(found),
                PrivilegedGroup.Reach.allCases.filter(reaches.contains).map(\.consequence).joined(separator: "; "),
                mend: "a user of its own for each workload, in no other group",
            )
        }
    }

    private var loopbackServices: Check {
        let (id, title) = ("doors.loopback", "services of this host")
        guard case .known(let listeners) = listeners, case .known(let addresses) = addresses,
            case .known(let policies) = policies
        else {
            let why = self.listeners.reason ?? self.addresses.reason ?? self.policies.reason ?? ""
            return Check(id, title, .unknown, why, bypass: 26)
        }
        let foreign = listeners.filter { $0.workload == nil }
        let local = Set(addresses).union([Listener.loopback, .v6(1)])
        var found: [String] = []
        for workload in policies.workloads {
            for rule in workload.allow where rule.targets.contains(where: { !$0.isName }) {
                let reached = foreign.filter { listener in
                    listener.isReached(by: rule, of: workload, at: local)
                }
                guard !reached.isEmpty else { continue }
                let ports = Set(reached.map { "\($0.port)" + ($0.transport == .udp ? "/udp" : "") })
                let list = Wording.list(ports.sorted())
                found.append("\(workload.name): rule '\(rule.name)' reaches port \(list)")
            }
        }
        guard !found.isEmpty else {
            let count = Wording.count(foreign.count, "service")
            return Check(id, title, .enforced, "\(count) of no workload; no rule reaches one", bypass: 26)
        }
        return Check(
            id,
            title,
            .open,
            Wording.list(found),
            consequence: "a proxy or forwarder there goes on in its own name",
            mend: "name the ports that the workload needs, and a 'deny' for this host's own addresses",
            bypass: 26,
        )
    }
}

extension Listener {
    fileprivate static let loopback = IPAddress.v4(0x7f00_0001)

    /// Whether the rule lets the workload reach an address of this host at which the socket answers.
    ///
    /// A wildcard of IPv6 takes IPv4 as well, and every wildcard of IPv4 all of 127.0.0.0/8.
    fileprivate func isReached(by rule: Rule, of workload: Workload, at local: Set<IPAddress>) -> Bool {
        guard rule.covers(port: port, transport) else { return false }
        var places = [address]
        if address == .v4(0) || address == .v6(0) {
            places = local.filter { address == .v6(0) || $0.isV4 } + rule.targets.compactMap(\.firstOfLoopback)
        }
        return places.contains { place in
            rule.covers(place)
                && !workload.deny.contains { $0.covers(place) && $0.covers(port: port, transport) }
        }
    }
}

extension Target {
    /// Its first address, where that lies in 127.0.0.0/8: no device has all of them, and the host answers at each.
    fileprivate var firstOfLoopback: IPAddress? {
        guard case .prefix(let prefix) = self, case .v4(let bits) = prefix.address else { return nil }
        return bits >> 24 == 127 ? prefix.address : nil
    }
}
