package import Model
internal import Policy
internal import Ruleset

extension Broker {
    /// Answers one question of the kernel.
    package mutating func handle(_ question: PacketQuestion, at now: Instant) -> [BrokerAction] {
        switch question.kind {
        case .sender, .receiver: identify(question, at: now)
        case .unmarked: judgeUnmarked(question, at: now)
        case .outbound: judge(question, at: now)
        case .reply: judgeReply(question, at: now)
        case .loopback: judgeLoopback(question, at: now)
        case .inbound: judgeInbound(question, at: now)
        case .forward: judgeForward(question, at: now)
        }
    }

    /// What the policy, the grants and the settings say of a request on its way out, and by which rule or grant.
    func decide(_ identity: Identity, _ destination: Destination, _ process: ProcessRecord?) -> Decision {
        guard identity.isWorkload, let name = names[identity.number], let workload = policies[name] else {
            return decideUngoverned(identity, destination)
        }
        let decision = workload.decide(
            Policy.Question(
                destination: destination,
                executable: process?.executable,
                executableIsCertain: process?.isCertain ?? false,
            ),
        )
        guard decision.verdict == .deny else { return decision }
        if decision.reason == .unknownDestination || decision.reason == .wrongExecutable,
            let grant = grant(for: name, destination)
        {
            return Decision(verdict: .allow, reason: .grant, rule: "grant \(grant.id)")
        }
        if settings.observesOnly { return Decision(verdict: .observe, reason: .observeMode, rule: decision.rule) }
        guard decision.reason == .unknownDestination else { return decision }
        switch workload.unknown {
        case .deny: return decision
        case .hold: return Decision(verdict: .hold, reason: .unknownDestination)
        case .observe: return Decision(verdict: .observe, reason: .observeMode)
        }
    }

    private func decideUngoverned(_ identity: Identity, _ destination: Destination) -> Decision {
        if identity == .daemon, settings.upstreams.contains(destination.address), destination.port == 53 {
            return Decision(verdict: .allow, reason: .rule)
        }
        let deny = Decision(verdict: .deny, reason: identity == .daemon ? .unknownDestination : .unidentified)
        if settings.observesOnly { return Decision(verdict: .observe, reason: .observeMode) }
        // A user that a workload's identity does not name is not the host's business but the workload's.
        guard identity == .unidentified || identity == .forwarded else { return deny }
        switch settings.unidentified {
        case .allow: return Decision(verdict: .allow, reason: .unidentified)
        case .observe: return Decision(verdict: .observe, reason: .unidentified)
        case .deny: return deny
        }
    }

    func grant(for workload: String, _ destination: Destination) -> Grant? {
        grants.values.first {
            $0.state == .active && $0.workload == workload && $0.destination == destination
        }
    }

    mutating func judge(_ question: PacketQuestion, at now: Instant) -> [BrokerAction] {
        guard let sender = question.sender else { return refuseUnknown(question, at: now) }
        if hasMoved(sender, at: now) { return dropAnother(question) }
        let (assignment, changes) = learn(sender)
        let decision = decide(assignment.identity, question.destination, sender.process)
        return [.change(changes)] + settle(question, assignment.identity, decision, local: sender, at: now)
    }

    /// A packet that answers what somebody else opened, or claims to.
    mutating func judgeReply(_ question: PacketQuestion, at now: Instant) -> [BrokerAction] {
        guard let sender = question.sender else { return refuseUnknown(question, at: now) }
        if hasMoved(sender, at: now) { return dropAnother(question) }
        let (assignment, changes) = learn(sender)
        let identity = assignment.identity
        let peer = question.destination
        let admitted =
            workload(identity).map {
                $0.admits(peer: peer.address, port: question.otherPort, transport: peer.transport) != nil
            } ?? (identity == .unidentified)
        if admitted, question.destination.transport.hasPorts {
            return [.change(changes)]
                + answer(question, identity, .inbound, in: "answers", at: now).actions
        }
        let decision = decide(identity, question.destination, sender.process)
        return [.change(changes)] + settle(question, identity, decision, local: sender, at: now)
    }

    /// A connection to a socket on this host: what the sender may reach, and whom the receiver lets in.
    mutating func judgeLoopback(_ question: PacketQuestion, at now: Instant) -> [BrokerAction] {
        guard let sender = question.sender else { return refuseUnknown(question, at: now) }
        if hasMoved(sender, at: now) { return dropAnother(question) }
        let (from, changes) = learn(sender)
        var actions: [BrokerAction] = [.change(changes)]
        // The kernel asks only when a socket would receive it: one that cannot be told may be a workload's.
        guard let receiver = question.receiver else { return actions + refuseUnknown(question, at: now) }
        let isNew = cgroups[receiver.cgroup]?.receiver == nil
        let (_, receiverChanges) = learn(receiver)
        actions.append(.change(receiverChanges))
        if isNew { return actions + [.answer(question.reference, .again)] }
        let to = resolve(path: receiver.path, uid: receiver.uid)
        var decision = decideLoopback(from.identity, to.identity, question, sender.process)
        if decision.verdict == .deny, settings.observesOnly {
            decision = Decision(verdict: .observe, reason: .observeMode)
        }
        return actions + settle(question, from.identity, decision, local: sender, at: now)
    }

    private func decideLoopback(
        _ from: Identity,
        _ to: Identity,
        _ question: PacketQuestion,
        _ process: ProcessRecord?,
    ) -> Decision {
        // Two that no workload's identity names have nothing in common.
        if from == to, from != .foreignUser { return Decision(verdict: .allow, reason: .rule) }
        if to != .unidentified {
            let destination = question.destination
            let admits = workload(to)?.admits(
                peer: question.source,
                port: destination.port,
                transport: destination.transport,
            )
            guard admits != nil else { return Decision(verdict: .deny, reason: .notListening) }
            if from == .unidentified { return Decision(verdict: .allow, reason: .rule, rule: admits?.name) }
        }
        return decide(from, question.destination, process)
    }

    /// A packet that belongs to no connection: nobody's passes, a workload's never does.
    mutating func judgeUnmarked(_ question: PacketQuestion, at now: Instant) -> [BrokerAction] {
        guard let sender = question.sender else { return refuseUnknown(question, at: now) }
        let (assignment, changes) = learn(sender)
        let identity = assignment.identity
        guard identity != .unidentified else { return [.change(changes), .answer(question.reference, .again)] }
        let key = Window.Key(.unmarked, identity, question.destination)
        if windows[key] != nil {
            windows[key]?.dropped += 1
            return [.change(changes), .answer(question.reference, .drop)]
        }
        var event = event(of: question, identity: identity, at: now)
        fill(&event, Decision(verdict: .deny, reason: .wrongProtocol), sender)
        event.message = "a packet that belongs to no connection"
        note(&event, at: now)
        openWindows[identity, default: 0] += 1
        windows[key] = Window(event: event, closes: now + Self.window, told: 0)
        return [.change(changes), .answer(question.reference, .drop), .record(event)]
    }

    /// A connection that somebody outside opens to a workload's socket.
    mutating func judgeInbound(_ question: PacketQuestion, at now: Instant) -> [BrokerAction] {
        guard let receiver = question.receiver else { return refuseUnknown(question, at: now) }
        let (_, changes) = learn(receiver)
        let identity = resolve(path: receiver.path, uid: receiver.uid).identity
        // The kernel knows whose a socket is that is reached by its cgroup alone.
        let owner = cgroups[receiver.cgroup]?.receiver?.identity ?? identity
        let destination = question.destination
        let rule = workload(identity)?.admits(
            peer: destination.address,
            port: destination.port,
            transport: destination.transport,
        )
        var decision =
            rule.map { Decision(verdict: .allow, reason: .rule, rule: $0.name) }
            ?? Decision(verdict: .deny, reason: .notListening)
        if decision.verdict == .deny, settings.observesOnly {
            decision = Decision(verdict: .observe, reason: .observeMode)
        }
        var actions: [BrokerAction] = [.change(changes)]
        guard decision.verdict == .deny else {
            let (isFirst, answers) = answer(question, owner, .inbound, in: "arrivals", at: now)
            actions += answers
            guard isFirst else { return actions }
            var event = event(of: question, identity: identity, at: now)
            fill(&event, decision, receiver)
            note(&event, at: now)
            return actions + [.record(event)]
        }
        return actions
            + refuse(question, identity, decision, Window.Key(.knock, owner, destination), local: receiver, at: now)
    }

    mutating func judgeForward(_ question: PacketQuestion, at now: Instant) -> [BrokerAction] {
        settle(question, .forwarded, decide(.forwarded, question.destination, nil), local: nil, at: now)
    }

    private func workload(_ identity: Identity) -> Workload? {
        names[identity.number].flatMap { policies[$0] }
    }

    /// Whether the packet may bear the stamp of the identity that its cgroup had before a reload.
    ///
    /// Not only what comes from that cgroup for certain: an answer for the identity that lost it would be found by what still
    /// bears its stamp, and the socket may have been taken for another's.
    private func hasMoved(_ sender: Facts, at now: Instant) -> Bool {
        if let until = movedCgroups[sender.cgroup], now < until { return true }
        guard !leftIdentities.isEmpty else { return false }
        let identity = resolve(path: sender.path, uid: sender.uid).identity
        return leftIdentities[identity].map { now < $0 } ?? false
    }

    /// Drops a packet that is sent again and then meets what it should.
    private mutating func dropAnother(_ question: PacketQuestion) -> [BrokerAction] {
        orphans += 1
        return [.answer(question.reference, .drop)]
    }

    /// Nobody can be found who asks, or the socket was closed already: the packet goes nowhere, and the record says so.
    mutating func refuseUnknown(_ question: PacketQuestion, at now: Instant) -> [BrokerAction] {
        orphans += 1
        let key = Window.Key(.unmarked, .unidentified, question.destination)
        if windows[key] != nil {
            windows[key]?.dropped += 1
            return [.answer(question.reference, .drop)]
        }
        var event = event(of: question, identity: .unidentified, at: now)
        event.verdict = .deny
        event.reason = .unidentified
        event.message = "the socket was closed, or cannot be found: nobody can be told who sent it"
        openWindows[.unidentified, default: 0] += 1
        windows[key] = Window(event: event, closes: now + Self.window, told: 0)
        return [.answer(question.reference, .drop), .record(event)]
    }

    /// Turns a decision into what the kernel is told.
    private mutating func settle(
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

    private mutating func pass(
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
        note(&event, at: now)
        actions.append(.record(event))
        return actions
    }

    /// Lets a transport without ports through for the length of a window, which counts it.
    private mutating func passOther(
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
        note(&event, at: now)
        openWindows[identity, default: 0] += 1
        windows[key] = Window(event: event, closes: now + Self.window, told: 1)
        let state = decision.verdict == .allow ? Stamp.State.allowed : .observed
        let element = Elements.other(question.destination, assignment(identity).stamp(state))
        return [
            .record(event), .change([ElementChange(set: key.set, add: [element])]), .answer(question.reference, .again),
        ]
    }

    /// Lets one attempt find its answer; and whether it is the first of its kind within the lifetime of an answer.
    private mutating func answer(
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
    }

    /// What is answered when the request has a window; nil when it has none.
    ///
    /// The packet waited in the queue when the element came into force: there it is counted. One that comes back again and
    /// again does not find it, and is counted here.
    private mutating func repeated(_ question: PacketQuestion, _ key: Window.Key) -> BrokerAction? {
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
        var event = event(of: question, identity: identity, at: now)
        fill(&event, decision, local)
        if !question.opensFlow, decision.reason == .unknownDestination || decision.reason == .unidentified {
            // It was let through before: by a rule or a grant that is gone.
            event.reason = .revoked
        }
        var actions: [BrokerAction] = []
        if kind != .knock, identity.isWorkload,
            let count = scans[identity, default: ScanDetector()].note(question.destination, at: now),
            event.finding == nil
        {
            event.finding = .internalScan
            event.message = "\(count) different destinations within \(ScanDetector.span.nanoseconds / 1_000_000_000) s"
        }
        note(&event, at: now)
        actions.append(.record(event))
        // Another program of the workload may have what this one may not: the kernel must not answer for both.
        let isForAll = decision.reason != .wrongExecutable
        if isForAll, openWindows[key.identity, default: 0] < Self.windowLimit || kind == .other {
            openWindows[key.identity, default: 0] += 1
            event.message = nil
            windows[key] = Window(event: event, closes: now + Self.window, told: 1)
            actions.append(.change([ElementChange(set: key.set, add: [key.element])]))
            actions.append(.answer(question.reference, .again))
        } else if kind == .knock {
            actions.append(.answer(question.reference, .drop))
        } else {
            actions += answer(question, identity, .denied, in: "answers", at: now).actions
        }
        return actions
    }

    private mutating func hold(
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
        let packet = Hold.Packet(reference: question.reference, cgroup: local?.cgroup ?? 0)
        if holds[key] != nil {
            holds[key]?.packets[question.otherPort] = packet
            return []
        }
        guard let workload = workload(identity), case .hold(let span) = workload.unknown else {
            return refuse(question, identity, decision, key, local: local, at: now)
        }
        var event = event(of: question, identity: identity, at: now)
        fill(&event, decision, local)
        note(&event, at: now)
        holds[key] = Hold(
            packets: [question.otherPort: packet],
            question: question,
            deadline: now + span,
            event: event,
        )
        return [.record(event)]
    }

    // MARK: Events

    func event(of question: PacketQuestion, identity: Identity, at now: Instant) -> Event {
        var event = Event(time: wall(now), kind: question.kind == .inbound ? .inbound : .request)
        event.workload = workloadName(identity)
        event.destination = question.destination
        if identity.isWorkload { event.generation = UInt32(assignment(identity).generation) }
        event.latencyMicroseconds = max(0, (now - question.arrived).nanoseconds / 1000)
        if let uid = question.uid { event.process = ProcessRecord(uid: uid) }
        return event
    }

    func fill(_ event: inout Event, _ decision: Decision, _ local: Facts?) {
        event.verdict = decision.verdict
        event.reason = decision.reason
        event.rule = decision.rule
        guard let local else { return }
        event.context = local.context
        var process = local.process ?? ProcessRecord(uid: local.uid)
        process.cgroup = process.cgroup ?? local.path
        event.process = process
        // A foreign user's request is told of under the workload whose cgroup it used.
        if event.workload == nil, case .wrongUser(let name) = policies.identify(cgroup: local.path, uid: local.uid) {
            event.workload = name
        }
        guard event.kind == .request else { return }
        event.finding = Findings.finding(process)
        event.application = Findings.application(process)
    }

    /// Groups a denied, held or observed request under its number.
    mutating func note(_ event: inout Event, at now: Instant) {
        guard let verdict = event.verdict, verdict != .allow, let reason = event.reason,
            let destination = event.destination
        else { return }
        let key = RequestKey(kind: event.kind, workload: event.workload ?? "", destination: destination)
        if var known = requests[key] {
            known.count += 1
            known.last = event.time
            known.verdict = verdict
            known.reason = reason
            known.process = event.process ?? known.process
            known.finding = event.finding ?? known.finding
            requests[key] = known
            event.request = known.id
            return
        }
        if requests.count >= Self.requestLimit, let oldest = requests.min(by: { $0.value.last < $1.value.last }) {
            requests[oldest.key] = nil
        }
        event.request = nextRequest
        requests[key] = RequestSummary(
            id: nextRequest,
            workload: key.workload,
            kind: event.kind,
            destination: destination,
            count: 1,
            first: event.time,
            last: event.time,
            verdict: verdict,
            reason: reason,
            process: event.process,
            finding: event.finding,
        )
        nextRequest += 1
    }
}
