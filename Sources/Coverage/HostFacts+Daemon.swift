extension HostFacts {
    /// Whether somebody is there to judge, and the rules that ask.
    var daemonChecks: [Check] { [running, mode, tableInForce, ownership, record, warnings, boot] }

    private var running: Check {
        let (id, title) = ("daemon.running", "the daemon")
        switch daemon {
        case .status(let status):
            return Check(
                id,
                title,
                .enforced,
                "version \(status.version) answers; \(Wording.count(status.workloads, "workload")) in force",
            )
        case .refused(let why):
            return Check(id, title, .enforced, "it answers, but not this caller: \(why)")
        case .unreachable(let why):
            let mend = "systemctl enable --now egressd"
            switch table {
            case .known(.some):
                return Check(
                    id,
                    title,
                    .partly,
                    "not running: \(why)",
                    consequence:
                        "the table refuses what it does not know; nothing can be asked for, approved or recorded",
                    mend: mend,
                    bypass: 28,
                )
            case .known(nil):
                let consequence = "nothing is refused"
                return Check(
                    id,
                    title,
                    .open,
                    "not running: \(why)",
                    consequence: consequence,
                    mend: mend,
                    bypass: 28,
                )
            case .unknown:
                return Check(id, title, .unknown, "not running here: \(why)", mend: mend, bypass: 28)
            }
        }
    }

    private var mode: Check {
        let (id, title) = ("daemon.mode", "mode")
        switch observesOnly {
        case nil: return Check(id, title, .unknown, configuration.reason ?? "the daemon did not say")
        case false:
            let source = if case .status = daemon { "" } else { ", says the configuration" }
            return Check(id, title, .enforced, "enforce\(source)")
        default:
            return Check(
                id,
                title,
                .open,
                "observe",
                consequence: "nothing is refused on this host; it is only recorded",
                mend: "set 'mode: enforce' in the configuration, and restart the daemon",
            )
        }
    }

    /// The chains without which the table is none, by the number of their hook.
    private static let rooms: [(name: String, hook: UInt32)] = [("identify", 3), ("inbound", 1), ("forward", 2)]

    private var tableInForce: Check {
        let (id, title) = ("daemon.table", "table inet egressd")
        guard case .known(let facts) = table, case .known(let chains) = chains else {
            return Check(id, title, .unknown, table.reason ?? chains.reason ?? "", bypass: 29)
        }
        let mend =
            "start the daemon; if it runs, it is in another network namespace, or another tool took the table away"
        guard facts != nil else {
            let consequence = "no packet of this network namespace is judged"
            return Check(id, title, .open, "not there", consequence: consequence, mend: mend, bypass: 29)
        }
        let ours = chains.filter { $0.family == .inet && $0.table == Self.ownTable }
        let missing = Self.rooms.filter { room in !ours.contains { $0.name == room.name && $0.hook == room.hook } }
        guard missing.isEmpty else {
            let names = missing.map(\.name).joined(separator: ", ")
            let consequence = "packets there are not judged"
            return Check(id, title, .open, "without \(names)", consequence: consequence, mend: mend, bypass: 29)
        }
        let open = Self.rooms.filter { room in ours.contains { $0.name == room.name && !$0.drops } }.map(\.name)
        guard open.isEmpty else {
            let list = open.joined(separator: ", ")
            return Check(
                id,
                title,
                .open,
                "\(list): the policy is accept",
                consequence: "what no rule of the table decides passes",
                mend: "systemctl restart egressd",
                bypass: 29,
            )
        }
        return Check(id, title, .enforced, "hooked in output, input and forward", bypass: 29)
    }

    private var ownership: Check {
        Check("daemon.ownership", "hold on the table", table, bypass: 29) { facts in
            guard let facts else { return Check.Judgement(.absent, "there is no table") }
            switch (facts.isOwned, facts.persists) {
            case (true, true):
                return Check.Judgement(.enforced, "owned and persistent: no other tool can flush or delete it")
            case (true, false):
                return Check.Judgement(
                    .open,
                    "owned, but not persistent",
                    "the rules vanish when the daemon ends",
                    mend: "let egressd make the table anew: egressd boot --undo, then start the daemon",
                )
            default:
                let (why, mend) = reasonAndMendOfAbsentOwner
                return Check.Judgement(
                    .partly,
                    "not owned\(why)",
                    lossWithoutOwner,
                    mend: mend,
                )
            }
        }
    }

    /// What becomes of what others take out of a table that nobody owns.
    var lossWithoutOwner: String {
        let what = "what a tool that runs as root takes away"
        if case .unreachable = daemon { return "\(what) is gone until a daemon starts" }
        return "\(what) is put back, and missing until then"
    }

    /// Why nobody owns the table, and what to do about it.
    private var reasonAndMendOfAbsentOwner: (String, String) {
        switch features.ownedTables {
        case .known(false):
            return (": the kernel cannot", "Linux 6.9 or later; before, let no other tool flush the rule set")
        case .unknown:
            return ("", "Linux 6.9 or later, 'owner: auto' in the configuration, and a daemon that runs")
        case .known(true):
            if configuration.value?.ownsTable == false {
                return (": 'owner: off'", "set 'owner: auto' in the configuration, and restart the daemon")
            }
            if case .unreachable = daemon { return (": no daemon runs", "systemctl enable --now egressd") }
            return (", though the kernel can", "systemctl restart egressd")
        }
    }

    private var record: Check {
        let (id, title) = ("daemon.record", "the record")
        guard case .status(let status) = daemon else {
            if case .unreachable = daemon, case .known = table {
                return Check(id, title, .absent, "no daemon writes one now")
            }
            return Check(id, title, .unknown, "the daemon did not say")
        }
        let trouble = status.warnings.filter { $0.hasPrefix("the record") }
        guard status.eventsLost == 0, trouble.isEmpty else {
            let lost = status.eventsLost > 0 ? [Wording.count(status.eventsLost, "event") + " lost"] : []
            return Check(
                id,
                title,
                .open,
                (trouble + lost).joined(separator: "; "),
                consequence: "attempts are refused, and not all of them are written down",
                mend: "make room in the state folder, or mend its disk",
            )
        }
        return Check(id, title, .enforced, "written, nothing lost")
    }

    private var warnings: Check {
        let (id, title) = ("daemon.warnings", "what the daemon warns of")
        guard case .status(let status) = daemon else {
            if case .unreachable = daemon, case .known = table { return Check(id, title, .absent, "no daemon runs") }
            return Check(id, title, .unknown, "the daemon did not say")
        }
        guard !status.warnings.isEmpty else { return Check(id, title, .enforced, "nothing") }
        return Check(
            id,
            title,
            .partly,
            status.warnings.joined(separator: "; "),
            consequence: "what it warns of does not work, or only with the limit that it names",
            mend: "'journalctl -u egressd' has more; 'egressd ctl status' shows when it is over",
        )
    }

    private var boot: Check {
        Check("daemon.boot", "from the first packet of a boot", units, bypass: 28) { units in
            guard case .found(let daemon, let boot) = units else {
                return Check.Judgement(
                    .open,
                    "systemd does not run this host",
                    "after a restart of the host nothing is refused until somebody starts the daemon",
                    mend: "run 'egressd boot' before the network is up, and 'egressd run' under a supervisor",
                )
            }
            let units = [("egressd-boot.service", boot), ("egressd.service", daemon)]
            let missing = units.compactMap { name, unit in unit.absence.map { "\(name) is \($0)" } }
            guard missing.isEmpty else {
                return Check.Judgement(
                    .open,
                    missing.joined(separator: ", "),
                    "after a restart of the host packets leave before the deny stands",
                    mend: units.compactMap { $1.mend($0) }.joined(separator: "; "),
                )
            }
            guard (configuration.value?.observesOnly ?? observesOnly) != true else {
                return Check.Judgement(
                    .open,
                    "both units enabled, with mode observe",
                    "nothing is refused, at a boot neither",
                    mend: "set 'mode: enforce' in the configuration, and restart the daemon",
                )
            }
            guard daemon.hasWatchdog else {
                return Check.Judgement(
                    .partly,
                    "both units enabled, without a watchdog",
                    "a stuck daemon is not started anew; nothing new is let through meanwhile",
                    mend: "set WatchdogSec= in egressd.service",
                )
            }
            return Check.Judgement(.enforced, "egressd-boot.service and egressd.service enabled, with a watchdog")
        }
    }
}
