internal import Broker
internal import Model
internal import Netfilter
internal import Policy
internal import PolicyFiles
internal import Ruleset
internal import System

extension Daemon {
    /// What a reload brought: how many workloads are in force, or why nothing changed.
    enum ReloadResult {
        case loaded(Int)
        case refused([String])
    }

    /// Reads configuration and policies anew and puts the difference in force in one transaction; bad input changes
    /// nothing.
    func reload(actor: String) -> ReloadResult {
        service.tell(.reloading)
        defer { tellReady() }
        let begin = Clock.now()
        let configuration: HostConfiguration
        let policies: PolicySet
        do {
            configuration = try loader.loadConfiguration(configurationPath)
            policies = try loader.loadPolicies(configuration.policies)
        } catch {
            let errors = error.errors.map(\.description)
            for line in errors { Log.error(line) }
            Log.error("nothing was loaded; what was in force stays in force")
            note(
                .deny,
                actor,
                "nothing was loaded: \(errors.count) error\(errors.count == 1 ? "" : "s"); \(errors.first ?? "")"
            )
            return .refused(errors)
        }
        var kept = configuration
        var unchanged: [String] = []
        for (name, differs) in [
            ("control", kept.control != self.configuration.control), ("state", kept.state != self.configuration.state),
            ("queue", kept.queue != self.configuration.queue), ("mode", kept.mode != self.configuration.mode),
            ("context", kept.context != self.configuration.context),
            ("dns: port", kept.dnsPort != self.configuration.dnsPort),
            ("owner", kept.owner != self.configuration.owner),
        ] where differs {
            unchanged.append("'\(name)'")
        }
        noteUnchanged(unchanged)
        // What is built into the table, or opened at start, stays as it is until then.
        kept.control = self.configuration.control
        kept.state = self.configuration.state
        kept.queue = self.configuration.queue
        kept.mode = self.configuration.mode
        kept.context = self.configuration.context
        kept.dnsPort = self.configuration.dnsPort
        kept.owner = self.configuration.owner
        let now = Clock.now()
        let reading = now - begin
        broker.setClock(wall: Clock.wall(), at: now)
        let candidate = Self.settings(kept, broker.settings.daemonCgroup)
        let upstreamsDiffer = kept.dnsServers != self.configuration.dnsServers
        self.configuration = kept
        watchRoles()
        largestTransaction = (0, Instant.Span(nanoseconds: 0))
        perform(broker.load(policies, candidate, at: now))
        if upstreamsDiffer { names?.setUpstreams(Self.upstreams(kept)) }
        loaded = Clock.wall()
        let count = policies.workloads.count
        let (elements, span) = largestTransaction
        Log.info(
            "policy in force: \(count) workload\(count == 1 ? "" : "s"), read in \(reading.milliseconds) ms, "
                + "in force after \((Clock.now() - begin).milliseconds) ms; "
                + "\(elements) elements in one transaction, \(span.milliseconds) ms",
        )
        afterPackets {
            for warning in policies.warnings { Log.warning("\(warning)") }
            Self.warnOfHiddenPrograms(policies)
        }
        note(.allow, actor, "\(count) workload\(count == 1 ? "" : "s") in force")
        return .loaded(count)
    }

    /// What of the configuration is not in force, and will be with the next start: said until it is, or is as it was.
    private func noteUnchanged(_ keys: [String]) {
        guard !keys.isEmpty else { return warnings[Self.unchanged] = nil }
        let list = keys.joined(separator: ", ")
        let problem =
            "\(configurationPath): \(list) change\(keys.count == 1 ? "s" : "") only with a restart "
            + "(systemctl restart egressd)"
        Log.warning(problem)
        warnings[Self.unchanged] = problem
    }

    /// The warnings' keys.
    private static let unchanged = "restart"
    private static let roles = "roles"

    /// What whoever reloads should know of the configuration at once.
    var configurationWarnings: [String] { [Self.unchanged, Self.roles].compactMap { warnings[$0] } }

    /// Whether the groups of the roles are there: without one nobody has its role, and nothing else would tell.
    func watchRoles() {
        let groups = [configuration.approverGroup, configuration.viewerGroup].compactMap(\.self)
        let missing = groups.filter { Users.gid(ofGroup: $0) == nil }.map { "no group '\($0)'" }
        warn(Self.roles, missing.isEmpty ? nil : "roles: there is \(missing.joined(separator: " and "))")
    }

    /// A group that was missing may have come since, with the directory service at a boot: what is warned of is true still.
    func lookForMissingRoles() {
        if warnings[Self.roles] != nil { watchRoles() }
    }

    private func note(_ verdict: Verdict, _ actor: String, _ message: String) {
        var event = Event(time: Clock.wall(), kind: .reload)
        event.verdict = verdict
        event.actor = actor
        event.message = message
        append(event)
    }
}

extension Instant.Span {
    /// Milliseconds with two digits after the point.
    var milliseconds: Double { Double(nanoseconds / 10_000) / 100 }
}
