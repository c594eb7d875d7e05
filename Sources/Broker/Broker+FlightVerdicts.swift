internal import Inspection
internal import Model
internal import Policy
internal import Ruleset
internal import Wire

/// First flights like one that was told of: counted here, and told of together.
struct FlightWindow {
    struct Key: Hashable {
        let destination: Destination
        let verdict: Verdict?
        let reason: Reason?
        let rule: String?
        let application: String?
        let serverName: String?
        /// Another program's are told of by themselves.
        let executable: String?
        let command: [String]
    }

    /// The event of the first.
    var event: Event
    let closes: Instant
    var repetitions: UInt64 = 0
}

extension Broker {
    /// What a first flight comes to.
    func decide(_ flow: Flow, _ key: FlowKey, _ flight: Flight) -> Decision {
        let decision = judge(flow, key, flight)
        guard decision.verdict == .deny, settings.observesOnly else { return decision }
        return Decision(verdict: .observe, reason: .observeMode, rule: decision.rule, name: decision.name)
    }

    private func judge(_ flow: Flow, _ key: FlowKey, _ flight: Flight) -> Decision {
        // As it is now: the policy may be another one than when the connection began.
        let begun = decide(flow.identity, key.destination, flow.sender.process)
        // What is open cannot wait for an operator.
        guard begun.verdict != .hold else { return Decision(verdict: .deny, reason: begun.reason) }
        guard begun.verdict == .allow, !begun.protocols.isEmpty, let workload = workload(flow.identity) else {
            return begun
        }
        let spoken = flight.flaw == nil ? ApplicationProtocol(flight.application) : nil
        var serverName: DomainName?
        if case .name(let name) = flight.serverName { serverName = name }
        let names = pins[workload.name]?.names(of: key.destination.address) ?? []
        let decision = workload.decide(
            Policy.Question(
                destination: key.destination,
                executable: flow.sender.process?.executable,
                executableIsCertain: flow.sender.process?.isCertain ?? false,
                names: names,
            ),
            spoken: spoken,
            serverName: serverName,
        )
        let isFinal =
            decision.verdict == .allow || decision.reason == .deniedByRule || decision.reason == .specialAddress
        guard !isFinal, let granted = byGrant(workload, key, names, spoken, serverName) else { return decision }
        // What a rule says of it counts more than an approval that does not fit.
        let isUnknown = decision.reason == .unknownDestination || decision.reason == .wrongExecutable
        return granted.verdict == .allow || isUnknown ? granted : decision
    }

    /// What the approvals by name come to that the first flight is held to; nil without one that declares what is spoken.
    private func byGrant(
        _ workload: Workload,
        _ key: FlowKey,
        _ names: [DomainName],
        _ spoken: ApplicationProtocol?,
        _ serverName: DomainName?,
    ) -> Decision? {
        let transport = key.destination.transport
        let all = grants(for: workload.name, key.destination, names).filter { $0.subject.name != nil }
        let found = all.filter { $0.application(over: transport) == spoken }
        guard
            let grant = found.first(where: { spoken == .ssh || serverName == $0.subject.name }) ?? found.first
                ?? all.first
        else { return nil }
        let fits = found.contains { $0.id == grant.id } && (spoken == .ssh || serverName == grant.subject.name)
        return Decision(
            verdict: fits ? .allow : .deny,
            reason: fits ? .grant : found.isEmpty ? .wrongProtocol : .wrongName,
            rule: "grant \(grant.id)",
            name: grant.subject.name,
        )
    }

    /// Ends the wait for a first flight with what it was.
    ///
    /// `greeting` is the packet of a server that spoke first.
    mutating func settle(
        _ flow: Flow,
        _ key: FlowKey,
        _ flight: Flight,
        greeting: PacketReference? = nil,
        at now: Instant,
    ) -> [BrokerAction] {
        var decision = decide(flow, key, flight)
        // Of what is allowed whatever is spoken, a server may speak first too.
        if decision.verdict == .allow, greeting != nil,
            !decide(flow.identity, key.destination, flow.sender.process).isPlain
        {
            decision = refusal(.wrongProtocol, of: decision)
        }
        var event = event(of: flow, key, decision, at: now)
        fill(&event, flight)
        event.message = message(decision, flight, greeting != nil)
        return tell(event, of: flow, key, at: now) + end(flow, key, decision.verdict, greeting, at: now)
    }

    /// Why a first flight was refused, where the reason's code does not say all.
    private func message(_ decision: Decision, _ flight: Flight, _ isServers: Bool) -> String? {
        guard decision.verdict != .allow else { return nil }
        if isServers { return "the server spoke first" }
        if let flaw = flight.flaw { return flaw }
        guard decision.reason == .wrongName else { return nil }
        let wanted = decision.name.map { "'\($0)'" } ?? "a name of the rule"
        switch flight.serverName {
        case .absent: return "no server name; \(wanted) was expected"
        case .encrypted: return "an encrypted server name (ECH); \(wanted) was expected"
        case .name(let name): return "server name '\(name)'; \(wanted) was expected"
        case .address(let address): return "an address as server name, \(address); \(wanted) was expected"
        case .unreadable(let text): return "an unreadable server name, '\(text)'; \(wanted) was expected"
        }
    }

    /// Refuses a connection for the way in which it sends its first flight.
    mutating func refuse(
        _ flow: Flow,
        _ key: FlowKey,
        _ reason: Reason,
        _ message: String,
        at now: Instant,
    ) -> [BrokerAction] {
        // What it began as may be governed by another rule now.
        let begun = decide(flow.identity, key.destination, flow.sender.process)
        let decision = flow.isObserved || begun.isPlain ? begun : flow.decision
        return end(flow, key, begun.isPlain ? begun : refusal(reason, of: decision), message, at: now)
    }

    /// Ends the wait for a first flight that nothing more will be known of.
    mutating func end(
        _ flow: Flow,
        _ key: FlowKey,
        _ decision: Decision,
        _ message: String,
        at now: Instant,
    ) -> [BrokerAction] {
        var event = event(of: flow, key, decision, at: now)
        fill(&event, flow.whatCame)
        event.message = message
        return tell(event, of: flow, key, at: now) + end(flow, key, decision.verdict, nil, at: now)
    }

    /// What becomes of the connection and of the packets that wait.
    private mutating func end(
        _ flow: Flow,
        _ key: FlowKey,
        _ verdict: Verdict,
        _ greeting: PacketReference?,
        at now: Instant,
    ) -> [BrokerAction] {
        let passes = verdict == .allow || verdict == .observe
        let stamp = assignment(flow.identity).stamp(passes ? verdict == .allow ? .allowed : .observed : .denied)
        if key.destination.transport == .tcp { flows.settle(key, passes: passes, at: now) }
        let waiting = flow.held + (greeting.map { [$0] } ?? [])
        guard key.destination.transport == .tcp else { return settleDatagrams(waiting, key, stamp, at: now) }
        let answers = waiting.map { BrokerAction.answer($0, passes ? .again : .drop) }
        let device = flow.sender.device
        return [.stamp(key, stamp, device)] + answers + (passes ? [] : [.destroy(key, device)])
    }

    // MARK: Events

    mutating func event(of flow: Flow, _ key: FlowKey, _ decision: Decision, at now: Instant) -> Event {
        var event = Event(time: wall(now), kind: .request)
        event.workload = workloadName(flow.identity)
        event.destination = key.destination
        event.name = knownName(flow.identity, key.destination.address)
        if flow.identity.isWorkload { event.generation = UInt32(assignment(flow.identity).generation) }
        event.latencyMicroseconds = flow.arrived.map { max(0, (now - $0).nanoseconds / 1000) }
        fill(&event, decision, flow.sender)
        return event
    }

    /// Records a first flight, or counts it when one like it was told of a moment ago.
    mutating func tell(_ event: Event, of flow: Flow, _ key: FlowKey, at now: Instant) -> [BrokerAction] {
        let window = FlightWindow.Key(
            destination: key.destination,
            verdict: event.verdict,
            reason: event.reason,
            rule: event.rule,
            application: event.application,
            serverName: event.flight?.serverName,
            executable: event.process?.executable,
            command: event.process?.command ?? [],
        )
        if flightWindows[flow.identity]?[window] != nil {
            flightWindows[flow.identity]?[window]?.repetitions += 1
            return []
        }
        if let together = tellTogether(event, of: flow.identity, at: now) { return together }
        var event = event
        requests.note(&event)
        if flightWindows[flow.identity, default: [:]].count < Self.flightWindowLimit {
            flightWindows[flow.identity, default: [:]][window] = FlightWindow(event: event, closes: now + Self.window)
        }
        return [.record(event)]
    }

    /// At most this many kinds of first flights of an identity are counted at a time; what is beyond is recorded one by one.
    private static let flightWindowLimit = 4096

    /// Tells of the repetitions of the first flights whose windows are over; of all of them for a daemon that stops.
    mutating func closeFlightWindows(at now: Instant, all: Bool = false) -> [BrokerAction] {
        var actions: [BrokerAction] = []
        for (identity, windows) in flightWindows {
            let over = windows.filter { all || $0.value.closes <= now }
            guard !over.isEmpty else { continue }
            flightWindows[identity] = over.count == windows.count ? nil : windows.filter { over[$0.key] == nil }
            for window in over.values where window.repetitions > 0 {
                var event = window.event
                event.time = wall(now)
                event.count = window.repetitions
                event.latencyMicroseconds = nil
                // The program is the same, but perhaps another process of it.
                event.process?.forgetInstance()
                event.context = [:]
                event.flight?.forgetInstance()
                event.add("repetitions within \(Self.windowSeconds) s, of the same program")
                requests.countAgain(&event)
                actions.append(.record(event))
            }
        }
        return actions
    }
}

extension ProcessRecord {
    /// Makes it stand for every process with this command line.
    fileprivate mutating func forgetInstance() {
        self = ProcessRecord(executable: executable, command: command)
    }
}

extension FlightRecord {
    /// Makes it stand for every first flight to this server.
    fileprivate mutating func forgetInstance() { self = FlightRecord(serverName: serverName) }

    init(_ flight: Flight, isAllowed: Bool) {
        let name: String? =
            switch flight.serverName {
            case .absent, .encrypted: nil
            case .name(let name): name.text
            case .address(let address): address.description
            case .unreadable(let text): text
            }
        self.init(serverName: name, alpn: flight.alpn, ja4: flight.ja4, excerpt: isAllowed ? nil : flight.excerpt)
    }
}
