internal import Model
internal import Policy
internal import Ruleset

extension Broker {
    /// Turns a decision into what the kernel is told.
    mutating func settle(
        _ question: PacketQuestion,
        _ identity: Identity,
        _ decision: Decision,
        local: Facts?,
        at now: Instant,
    ) -> [BrokerAction] {
        switch decision.verdict {
        case .allow, .observe:
            return pass(question, identity, decision, local: local, at: now)
        case .deny:
            let kind: Window.Kind = question.destination.transport.hasPorts ? .denied : .other
            let key = Window.Key(kind, identity, question.destination)
            return refuse(question, identity, decision, key, local: local, at: now)
        case .hold:
            return hold(question, identity, decision, local: local, at: now)
        }
    }

    mutating func pass(
        _ question: PacketQuestion,
        _ identity: Identity,
        _ decision: Decision,
        local: Facts?,
        at now: Instant,
    ) -> [BrokerAction] {
        guard question.destination.transport.hasPorts else {
            return passOther(question, identity, decision, local: local, at: now)
        }
        let state = decision.verdict == .allow ? Stamp.State.allowed : .observed
        var (isFirst, actions) = answer(question, identity, state, in: "answers", at: now)
        // What goes on under a new generation was told of when it began.
        guard question.opensFlow, isFirst else { return actions }
        var event = event(of: question, identity: identity, at: now)
        fill(&event, decision, local)
        if let flight = question.flight { fill(&event, flight) }
        requests.note(&event)
        actions.append(.record(event))
        return actions
    }

    /// Lets a transport without ports through for the length of a window, which counts it.
    mutating func passOther(
        _ question: PacketQuestion,
        _ identity: Identity,
        _ decision: Decision,
        local: Facts?,
        at now: Instant,
    ) -> [BrokerAction] {
        let key = Window.Key(.other, identity, question.destination)
        if let answer = repeated(question, key) { return [answer] }
        var event = event(of: question, identity: identity, at: now)
        fill(&event, decision, local)
        requests.note(&event)
        openWindows[identity, default: 0] += 1
        windows[key] = Window(event: event, closes: now + Self.window, told: 1)
        let state = decision.verdict == .allow ? Stamp.State.allowed : .observed
        let element = Elements.other(question.destination, assignment(identity).stamp(state))
        return [
            .record(event), .change([ElementChange(set: key.set, add: [element])]), .answer(question.reference, .again),
        ]
    }

    /// Lets one attempt find its answer; and whether it is the first of its kind within the lifetime of an answer.
    mutating func answer(
        _ question: PacketQuestion,
        _ identity: Identity,
        _ state: Stamp.State,
        in map: String,
        at now: Instant,
    ) -> (isFirst: Bool, actions: [BrokerAction]) {
        let attempt = Attempt(
            kind: question.kind,
            identity: identity,
            destination: question.destination,
            port: question.otherPort,
        )
        let earlier = attempts[attempt].flatMap { now < $0.until ? $0 : nil }
        let isFound = earlier.map { $0.state == state && $0.count < Self.repeatLimit } ?? true
        let until = now + .milliseconds(Int64(Self.answerLifetime))
        forgetAttempts(at: now)
        if earlier.map({ $0.state == state }) ?? true { attempts[attempt] = ((earlier?.count ?? 0) + 1, until, state) }
        guard isFound else {
            // An answer is bound to the identity that the kernel stamped: a packet that does not find it is another's. And
            // where the kernel has another answer yet, what is sent again after its lifetime gets this one.
            return (false, dropAnother(question))
        }
        let suffix = question.destination.address.isV4 ? "4" : "6"
        let element = Elements.attempt(
            question.destination,
            localPort: question.otherPort,
            assignment(identity).stamp(state),
            timeout: Self.answerLifetime,
        )
        let change = ElementChange(set: map + suffix, add: [element])
        return (earlier == nil, [.change([change]), .answer(question.reference, .again)])
    }

    /// Lets go of attempts whose answers are gone, once in the lifetime of an answer: looking through them costs time.
    mutating func forgetAttempts(at now: Instant) {
        guard now - attemptsForgotten >= .milliseconds(Int64(Self.answerLifetime)) else { return }
        attemptsForgotten = now
        attempts = attempts.filter { now < $0.value.until }
        flows.forgetPassed(at: now)
    }

    /// What is answered when the request has a window; nil when it has none.
    ///
    /// The packet waited in the queue when the element came into force: there it is counted. One that comes back again and
    /// again does not find it, and is counted here.
    mutating func repeated(_ question: PacketQuestion, _ key: Window.Key) -> BrokerAction? {
        guard let count = windows[key]?.returns[question.otherPort, default: 0] else { return nil }
        windows[key]?.returns[question.otherPort] = count + 1
        let isLost = count > Self.repeatLimit
        if isLost { windows[key]?.dropped += 1 }
        return .answer(question.reference, isLost ? .drop : .again)
    }

    mutating func refuse(
        _ question: PacketQuestion,
        _ identity: Identity,
        _ decision: Decision,
        _ key: Window.Key,
        local: Facts?,
        at now: Instant,
    ) -> [BrokerAction] {
        if let answer = repeated(question, key) { return [answer] }
        let kind = key.kind
        let isInbound = kind == .knock
        let flood = floodWindow(question, key.identity)
        // What waited when the kernel began to refuse all meets that now.
        if let flood, let answer = repeated(question, flood) { return [answer] }
        var event = event(of: question, identity: identity, at: now)
        fill(&event, decision, local)
        if let flight = question.flight { fill(&event, flight) }
        if !question.opensFlow, decision.reason == .unknownDestination || decision.reason == .unidentified {
            // It was let through before: by a rule or a grant that is gone.
            event.reason = .revoked
        }
        var actions: [BrokerAction] = []
        if !isInbound, identity.isWorkload,
            let count = scans[identity, default: ScanDetector()].note(question.destination, at: now),
            event.finding == nil
        {
            event.finding = .internalScan
            event.message = "\(count) different destinations within \(ScanDetector.span.nanoseconds / 1_000_000_000) s"
        }
        requests.note(&event)
        actions.append(.record(event))
        if let flood { actions += brake(flood, event, at: now) }
        // Another program of the workload may have what this one may not, and another name is another request: the kernel
        // must not answer for both. Nor for what waits for an operator and is sent again meanwhile.
        let isForAll =
            decision.reason != .wrongExecutable && decision.reason != .nameNotAllowed && holds[key] == nil
        if isForAll, openWindows[key.identity, default: 0] < Self.windowLimit || kind == .other {
            openWindows[key.identity, default: 0] += 1
            event.message = nil
            windows[key] = Window(event: event, closes: now + Self.window, told: 1)
            actions.append(.change([ElementChange(set: key.set, add: [key.element])]))
            actions.append(.answer(question.reference, .again))
        } else if isInbound {
            actions.append(.answer(question.reference, .drop))
        } else {
            actions += answer(question, identity, .denied, in: "answers", at: now).actions
        }
        return actions
    }

    mutating func hold(
        _ question: PacketQuestion,
        _ identity: Identity,
        _ decision: Decision,
        local: Facts?,
        at now: Instant,
    ) -> [BrokerAction] {
        let key = Window.Key(.denied, identity, question.destination)
        if windows[key] != nil {
            return refuse(question, identity, decision, key, local: local, at: now)
        }
        if holds[key]?.packets[question.otherPort] != nil {
            // A retransmission of what waits already.
            return [.answer(question.reference, .drop)]
        }
        guard heldFlows[identity, default: 0] < Self.holdLimit else {
            let limit = Decision(verdict: .deny, reason: .limit)
            return refuse(question, identity, limit, key, local: local, at: now)
        }
        heldFlows[identity, default: 0] += 1
        if holds[key] != nil {
            holds[key]?.packets[question.otherPort] = question.reference
            return []
        }
        guard let workload = workload(identity), case .hold(let span) = workload.unknown else {
            return refuse(question, identity, decision, key, local: local, at: now)
        }
        var event = event(of: question, identity: identity, at: now)
        fill(&event, decision, local)
        requests.note(&event)
        holds[key] = Hold(
            packets: [question.otherPort: question.reference],
            question: question,
            deadline: now + span,
            event: event,
        )
        return [.record(event)]
    }
}
