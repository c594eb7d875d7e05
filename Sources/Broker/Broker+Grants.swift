package import Model
package import Policy
package import Ruleset
internal import Wire

/// Why a grant cannot be made or taken back.
package enum GrantError: Error, Hashable, Sendable, CustomStringConvertible {
    case noRequest(Int64)
    case noGrant(Int64)
    case notAWorkload
    case inbound
    case withoutPorts(Destination)
    case denied(Subject, Decision)
    case allowed(Subject)
    case toBeProved(Subject, Set<ApplicationProtocol>)
    case many
    /// What a request by name is asked with was asked with this one by address.
    case forNames(Int64, Destination)
    /// The protocol is not spoken over the transport of this port.
    case otherTransport(ApplicationProtocol, ServicePort)

    package var description: String {
        switch self {
        case .noRequest(let id): "there is no request \(id); 'egressd ctl requests' lists them"
        case .noGrant(let id): "there is no active grant \(id); 'egressd ctl grants' lists them"
        case .notAWorkload: "the request is of no workload; write a policy whose identity covers its cgroup"
        case .inbound:
            "the request came from outside; who may open connections to a workload is for its 'listen' to say"
        case .withoutPorts(let destination): "\(destination): only tcp and udp can be approved"
        case .denied(let subject, let decision):
            "\(subject): \(decision.reason.rawValue)"
                + (decision.rule.map { " '\($0)'" } ?? "") + " beats every approval; change the policy"
        case .allowed(let subject): "\(subject) is allowed already"
        case .many:
            "the request stands for many destinations; allow those that are meant in the policy, "
                + "'egressd ctl log --workload NAME' shows them"
        case .toBeProved(let subject, let protocols):
            "\(subject) is allowed when its first flight is \(protocols.map(\.rawValue).sorted().joined(separator: " or ")) and "
                + "names what the rule does; add the name, or a rule with another protocol, to the policy"
        case .forNames(let id, let destination):
            "request \(id) is for \(destination); --ports and --protocol are for requests by name"
        case .otherTransport(let application, let port):
            "\(application.rawValue) is not spoken over \(port.transport): it needs "
                + (application.transport.map { "--ports \(port.port)/\($0)" } ?? "another port")
        }
    }
}

extension Broker {
    /// What `ctl requests` shows, oldest first.
    package var requestSummaries: [RequestSummary] { requests.all }

    package var requestCount: Int { requests.count }

    /// What must be written down of the requests: those with these numbers and what changed with them, and which are no more.
    package mutating func takeRequestChanges(of ids: Set<Int64>) -> (changed: [RequestSummary], forgotten: Set<Int64>) {
        requests.takeChanges(of: ids)
    }

    /// Takes up the requests of an earlier daemon.
    package mutating func restore(_ summaries: [RequestSummary], nextRequest: Int64) {
        requests.restore(summaries, next: nextRequest)
    }

    /// Counts what an earlier daemon did not tell of any more, under the request's number that the event has, or gets.
    package mutating func noteEarlier(_ event: inout Event) {
        guard event.request == nil else { return requests.countAgain(&event) }
        requests.note(&event, as: event.destination == nil ? .others : nil)
    }

    /// The event of an earlier daemon with the number that its request has now; the request is there again if it was not.
    ///
    /// What the record has already (`isStored`) keeps its number, and counts only where its line does not have it.
    package mutating func recall(_ event: Event, isStored: Bool) -> Event {
        requests.recall(event, isStored: isStored)
    }

    /// Takes up the grants of an earlier daemon; what a deny covers by now is not put in force.
    package mutating func restore(_ earlier: [Grant], nextGrant: Int64, at now: Instant) -> [ElementChange] {
        var changes: [ElementChange] = []
        self.nextGrant = nextGrant
        for grant in earlier where grant.state == .active {
            grants[grant.id] = grant
            changes += put(grant, at: now)
        }
        return changes
    }

    private func decide(_ destination: Destination, of workload: Workload) -> Decision {
        let names = pins[workload.name]?.names(of: destination.address) ?? []
        return workload.decide(Policy.Question(destination: destination, names: names))
    }

    func isGrantable(_ workload: Workload, _ destination: Destination) -> Bool {
        let decision = decide(destination, of: workload)
        return decision.verdict == .allow || decision.reason == .unknownDestination
            || decision.reason == .wrongExecutable
    }

    /// Approves a request for a time; what waits for it goes on.
    ///
    /// A request by name is approved for these ports, or `defaultPorts`; one by address has its own, and is refused with
    /// any other. The grant is stored before the actions are performed; when it cannot be, the broker as it was before goes
    /// on, which then gets `skipGrant`.
    package mutating func approve(
        request id: Int64,
        for duration: Instant.Span,
        ports: Set<ServicePort>? = nil,
        application: ApplicationProtocol? = nil,
        reason: String?,
        actor: String,
        at now: Instant,
    ) -> Result<(Grant, [BrokerAction]), GrantError> {
        guard let request = requests[id] else { return .failure(.noRequest(id)) }
        guard request.kind == .request else { return .failure(.inbound) }
        guard let workload = policies[request.workload], let assignment = assignments[request.workload] else {
            return .failure(.notAWorkload)
        }
        if let error = obstacle(to: request.subject, of: workload) { return .failure(error) }
        if let error = mismatch(of: request, ports, application) { return .failure(error) }
        let grant = Grant(
            id: nextGrant,
            workload: workload.name,
            subject: request.subject,
            ports: request.subject.name == nil ? [] : ports ?? Self.defaultPorts,
            application: request.subject.name == nil ? nil : application,
            granted: wall(now),
            duration: duration,
            expiry: now + duration,
            reason: reason,
            actor: actor,
            request: id,
        )
        nextGrant += 1
        var actions = replaceEarlier(by: grant, at: now)
        knownNames[assignment.identity] = nil
        if let name = request.subject.name {
            let wire = DNSName(name)
            actions += closeNameWindows(at: now) { key, _ in
                key.identity == assignment.identity && key.question.name == wire && key.address == nil
            }
        }
        let key = request.subject.destination.map { Window.Key(.denied, assignment.identity, $0) }
        if let key, windows[key] != nil { actions.append(.settle(key)) }
        actions.append(.record(event(of: grant, .allow, .grant, actor: actor, reason, at: now)))
        if let key { actions += admitWaiting(key, by: grant, at: now) }
        return .success((grant, actions))
    }

    /// Never gives this number again: whether a grant with it was stored is not known.
    package mutating func skipGrant(_ id: Int64) { nextGrant = max(nextGrant, id + 1) }

    /// What a name is approved for when nobody says.
    package static let defaultPorts: Set<ServicePort> = [ServicePort(transport: .tcp, port: 443)]

    /// What does not go together in an approval: another port would be opened than was asked for.
    private func mismatch(
        of request: RequestSummary,
        _ ports: Set<ServicePort>?,
        _ application: ApplicationProtocol?,
    ) -> GrantError? {
        if let destination = request.subject.destination {
            let own = ServicePort(transport: destination.transport, port: destination.port)
            let isOwn = ports ?? [own] == [own] && application ?? .any == .any
            return isOwn ? nil : .forNames(request.id, destination)
        }
        guard let application, let transport = application.transport else { return nil }
        let other = (ports ?? Self.defaultPorts).filter { $0.transport != transport }.min { $0.port < $1.port }
        return other.map { .otherTransport(application, $0) }
    }

    /// Why a request cannot be approved; nil when it can.
    private func obstacle(to subject: Subject, of workload: Workload) -> GrantError? {
        switch subject {
        case .address(let destination):
            guard destination.transport.hasPorts else { return .withoutPorts(destination) }
            guard destination.port != 53 else {
                return .denied(subject, Decision(verdict: .deny, reason: .nameNotAllowed))
            }
            let decision = decide(destination, of: workload)
            guard isGrantable(workload, destination) else { return .denied(subject, decision) }
            if decision.isPlain { return .allowed(subject) }
            // An approval of the address would let anything be spoken to whoever shares it.
            return decision.protocols.isEmpty ? nil : .toBeProved(subject, decision.protocols)
        case .name(let name):
            let decision = workload.decide(name: name, type: "A")
            if decision.verdict == .allow { return .allowed(subject) }
            return decision.reason == .nameNotAllowed ? nil : .denied(subject, decision)
        case .others: return .many
        }
    }

    /// A new approval of the same takes the place of the old one.
    private mutating func replaceEarlier(by grant: Grant, at now: Instant) -> [BrokerAction] {
        var actions: [BrokerAction] = []
        var removed: [SetElement] = []
        for old in grants.values
        where old.state == .active && old.workload == grant.workload && old.subject == grant.subject {
            removed += take(old, at: now).flatMap(\.remove)
            grants[old.id] = nil
            var ended = old
            ended.state = .revoked
            actions.append(.endGrant(ended))
            // Neither allowed nor denied: what it let through goes on.
            let message = "replaced by grant \(grant.id)"
            var event = event(of: old, nil, .revoked, actor: grant.actor, message, at: now)
            event.approval?.replacedBy = grant.id
            actions.append(.record(event))
        }
        grants[grant.id] = grant
        for change in put(grant, at: now) {
            actions.append(.change([ElementChange(set: change.set, remove: removed + change.remove, add: change.add)]))
            removed = []
        }
        return actions
    }

    /// Lets the packets go on that wait for the grant.
    private mutating func admitWaiting(_ key: Window.Key, by grant: Grant, at now: Instant) -> [BrokerAction] {
        guard let hold = holds.removeValue(forKey: key) else { return [] }
        release(key, hold)
        var event = hold.event
        event.time = wall(now)
        event.verdict = .allow
        event.reason = .grant
        event.rule = "grant \(grant.id)"
        event.grant = grant.id
        event.latencyMicroseconds = max(0, (now - hold.question.arrived).nanoseconds / 1000)
        var actions: [BrokerAction] = [.record(event)]
        // The kernel would tell of the first that passes; it is told of here, with how long it waited.
        let seen = Window.Key(.seen, key.identity, key.destination)
        let hasRoom = openWindows[key.identity, default: 0] < Self.windowLimit
        if grantElements[grant.id] != nil, windows[seen] == nil, hasRoom {
            openWindows[key.identity, default: 0] += 1
            windows[seen] = Window(event: event, closes: now + Self.window, told: UInt64(hold.packets.count))
            actions.append(.change([ElementChange(set: seen.set, add: [seen.element])]))
        }
        return actions + hold.packets.values.map { .answer($0, .again) }
    }

    /// Takes an approval back; the connections it carried are cut.
    package mutating func revoke(
        grant id: Int64,
        reason: String?,
        actor: String,
        at now: Instant,
    ) -> Result<[BrokerAction], GrantError> {
        guard let grant = grants[id], grant.state == .active else { return .failure(.noGrant(id)) }
        return .success(end(grant, as: .revoked, actor: actor, reason: reason, at: now))
    }

    mutating func end(
        _ grant: Grant,
        as state: Grant.State,
        actor: String?,
        reason: String?,
        at now: Instant,
    ) -> [BrokerAction] {
        let removal = take(grant, at: now)
        var ended = grant
        ended.state = state
        grants[grant.id] = nil
        var actions: [BrokerAction] = []
        if !removal.isEmpty { actions.append(.change(removal)) }
        if let assignment = assignments[grant.workload] {
            let carried = destinations(of: grant)
            knownNames[assignment.identity] = nil
            if grant.subject.name != nil {
                let renewed = renewPins(of: grant.workload, at: now)
                actions.append(.change(renewed.changes))
                if !renewed.dropped.isEmpty { actions.append(.savePins([], dropped: renewed.dropped)) }
            }
            for destination in carried {
                let seen = Window.Key(.seen, assignment.identity, destination)
                if windows[seen] != nil { actions.append(.settle(seen)) }
            }
            // What another rule allows goes on.
            let cut = carried.filter { decide(assignment.identity, $0, nil, isOpen: true).verdict != .allow }
            if !cut.isEmpty { actions.append(clearAnswers()) }
            actions += cut.map { .cut(assignment.identity, generation: assignment.generation, $0) }
        }
        actions.append(.endGrant(ended))
        actions.append(.record(event(of: grant, .deny, .revoked, actor: actor, reason ?? state.rawValue, at: now)))
        return actions
    }

    /// What a grant may have let through: for a name every address that it was answered with.
    private func destinations(of grant: Grant) -> [Destination] {
        switch grant.subject {
        case .address(let destination): return [destination]
        case .name(let name):
            let addresses = pins[grant.workload]?.addressesEver(of: name) ?? []
            return addresses.flatMap { address in
                grant.ports.map { Destination(address: address, port: $0.port, transport: $0.transport) }
            }
        case .others: return []
        }
    }

    /// Has the kernel forget what it lets through for a moment, or counts while it does: nobody knows whether all of it is ours.
    package mutating func forgetPassing() -> [BrokerAction] {
        [clearAnswers()] + windows.keys.filter { $0.kind == .lately || $0.kind == .other }.map { .settle($0) }
    }

    /// Nothing that was answered for before counts any more.
    mutating func clearAnswers() -> BrokerAction {
        attempts.removeAll()
        flows.forgetPassed()
        return .clear(["answers4", "answers6", "arrivals4", "arrivals6"])
    }

    private func event(
        of grant: Grant,
        _ verdict: Verdict?,
        _ reason: Reason,
        actor: String?,
        _ message: String?,
        at now: Instant,
    ) -> Event {
        var event = Event(time: wall(now), kind: .grant)
        event.verdict = verdict
        event.reason = reason
        event.workload = grant.workload
        event.destination = grant.subject.destination
        event.name = grant.subject.name?.text
        event.grant = grant.id
        event.request = grant.request
        event.approval = ApprovalRecord(
            seconds: grant.duration.nanoseconds / 1_000_000_000,
            expires: wall(now) + (grant.expiry - now),
            ports: ServicePort.texts(grant.ports),
            application: grant.application?.rawValue,
        )
        event.actor = actor
        event.message = message
        return event
    }
}

extension Broker {
    /// Whether a packet of the request waits for an operator now.
    package func isHeld(_ request: RequestSummary) -> Bool {
        guard let assignment = assignments[request.workload], let destination = request.subject.destination else {
            return false
        }
        return holds[Window.Key(.denied, assignment.identity, destination)] != nil
    }
}
