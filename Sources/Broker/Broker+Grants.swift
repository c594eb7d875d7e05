package import Model
package import Policy
package import Ruleset

/// Why a grant cannot be made or taken back.
package enum GrantError: Error, Hashable, Sendable, CustomStringConvertible {
    case noRequest(Int64)
    case noGrant(Int64)
    case notAWorkload
    case inbound
    case withoutPorts(Destination)
    case denied(Destination, Decision)
    case allowed(Destination)

    package var description: String {
        switch self {
        case .noRequest(let id): "there is no request \(id); 'egressd ctl requests' lists them"
        case .noGrant(let id): "there is no active grant \(id); 'egressd ctl grants' lists them"
        case .notAWorkload: "the request is of no workload; write a policy whose identity covers its cgroup"
        case .inbound:
            "the request came from outside; who may open connections to a workload is for its 'listen' to say"
        case .withoutPorts(let destination): "\(destination): only tcp and udp can be approved"
        case .denied(let destination, let decision):
            "\(destination): \(decision.reason.rawValue)"
                + (decision.rule.map { " '\($0)'" } ?? "") + " beats every approval; change the policy"
        case .allowed(let destination): "\(destination) is allowed already"
        }
    }
}

extension Broker {
    /// What `ctl requests` shows, oldest first.
    package var requestSummaries: [RequestSummary] { requests.values.sorted { $0.id < $1.id } }

    /// Those with these numbers, in any order.
    package func requestSummaries(of ids: Set<Int64>) -> [RequestSummary] {
        requests.values.filter { ids.contains($0.id) }
    }

    /// Takes up the requests of an earlier daemon.
    package mutating func restore(_ summaries: [RequestSummary], nextRequest: Int64) {
        for summary in summaries {
            let key = RequestKey(kind: summary.kind, workload: summary.workload, destination: summary.destination)
            requests[key] = summary
        }
        self.nextRequest = max(nextRequest, (summaries.map(\.id).max() ?? 0) + 1)
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

    func isGrantable(_ workload: Workload, _ destination: Destination) -> Bool {
        let decision = workload.decide(Policy.Question(destination: destination))
        return decision.verdict == .allow || decision.reason == .unknownDestination
            || decision.reason == .wrongExecutable
    }

    /// Approves a request for a time; what waits for it goes on.
    package mutating func approve(
        request id: Int64,
        for duration: Instant.Span,
        reason: String?,
        actor: String,
        at now: Instant,
    ) -> Result<(Grant, [BrokerAction]), GrantError> {
        guard let request = requests.values.first(where: { $0.id == id }) else { return .failure(.noRequest(id)) }
        guard request.kind == .request else { return .failure(.inbound) }
        guard let workload = policies[request.workload], let assignment = assignments[request.workload] else {
            return .failure(.notAWorkload)
        }
        let destination = request.destination
        guard destination.transport.hasPorts else { return .failure(.withoutPorts(destination)) }
        let decision = workload.decide(Policy.Question(destination: destination))
        guard isGrantable(workload, destination) else { return .failure(.denied(destination, decision)) }
        guard decision.verdict != .allow else { return .failure(.allowed(destination)) }

        var actions: [BrokerAction] = []
        // A new approval of the same takes the place of the old one.
        var removed: [SetElement] = []
        for old in grants.values
        where old.state == .active && old.workload == workload.name
            && old.destination == destination
        {
            removed += take(old, at: now).flatMap(\.remove)
            grants[old.id] = nil
            var ended = old
            ended.state = .revoked
            actions.append(.saveGrant(ended))
        }
        let grant = Grant(
            id: nextGrant,
            workload: workload.name,
            destination: destination,
            granted: wall(now),
            duration: duration,
            expiry: now + duration,
            reason: reason,
            actor: actor,
            request: id,
        )
        nextGrant += 1
        grants[grant.id] = grant
        for change in put(grant, at: now) {
            actions.append(.change([ElementChange(set: change.set, remove: removed, add: change.add)]))
        }
        let key = Window.Key(.denied, assignment.identity, destination)
        if windows[key] != nil { actions.append(.settle(key)) }
        if let hold = holds.removeValue(forKey: key) {
            release(key, hold)
            actions += hold.packets.values.map { .answer($0.reference, .again) }
            var event = hold.event
            event.time = wall(now)
            event.verdict = .allow
            event.reason = .grant
            event.rule = "grant \(grant.id)"
            event.grant = grant.id
            event.latencyMicroseconds = max(0, (now - hold.question.arrived).nanoseconds / 1000)
            actions.append(.record(event))
        }
        actions.append(.saveGrant(grant))
        actions.append(.record(event(of: grant, .allow, .grant, actor: actor, reason, at: now)))
        return .success((grant, actions))
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
            let seen = Window.Key(.seen, assignment.identity, grant.destination)
            if windows[seen] != nil { actions.append(.settle(seen)) }
            // What another rule allows goes on.
            let isAllowed = decide(assignment.identity, grant.destination, nil).verdict == .allow
            if !isAllowed {
                actions.append(clearAnswers())
                actions.append(.cut(assignment.identity, generation: assignment.generation, grant.destination))
            }
        }
        actions.append(.saveGrant(ended))
        actions.append(.record(event(of: grant, .deny, .revoked, actor: actor, reason ?? state.rawValue, at: now)))
        return actions
    }

    /// Nothing that was answered for before counts any more.
    mutating func clearAnswers() -> BrokerAction {
        attempts.removeAll()
        return .clear(["answers4", "answers6", "arrivals4", "arrivals6"])
    }

    private func event(
        of grant: Grant,
        _ verdict: Verdict,
        _ reason: Reason,
        actor: String?,
        _ message: String?,
        at now: Instant,
    ) -> Event {
        var event = Event(time: wall(now), kind: .grant)
        event.verdict = verdict
        event.reason = reason
        event.workload = grant.workload
        event.destination = grant.destination
        event.grant = grant.id
        event.request = grant.request
        event.actor = actor
        event.message = message
        return event
    }
}

extension Broker {
    /// Whether a packet of the request waits for an operator now.
    package func isHeld(_ request: RequestSummary) -> Bool {
        guard let assignment = assignments[request.workload] else { return false }
        return holds[Window.Key(.denied, assignment.identity, request.destination)] != nil
    }
}
