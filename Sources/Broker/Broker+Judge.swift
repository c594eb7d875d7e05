package import Model
internal import Policy
internal import Ruleset

extension Broker {
    /// Answers one question of the kernel.
    package mutating func handle(_ question: PacketQuestion, at now: Instant) -> [BrokerAction] {
        switch question.kind {
        case .sender, .receiver: identify(question, at: now)
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
        case .observe: return Decision(verdict: .observe, reason: .observeMode)
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
        let (assignment, changes) = learn(sender)
        let decision = decide(assignment.identity, question.destination, sender.process)
        return [.change(changes)] + settle(question, assignment.identity, decision, local: sender, at: now)
    }

    /// A packet that answers what somebody else opened, or claims to.
    mutating func judgeReply(_ question: PacketQuestion, at now: Instant) -> [BrokerAction] {
        guard let sender = question.sender else { return refuseUnknown(question, at: now) }
        let (assignment, changes) = learn(sender)
        let identity = assignment.identity
        let peer = question.destination
        let admitted =
            workload(identity).map {
                $0.admits(peer: peer.address, port: question.otherPort, transport: peer.transport) != nil
            } ?? (identity == .unidentified)
        if admitted, question.destination.transport.hasPorts {
            return [.change(changes), .change([attempt(question, identity, then: "admit_inbound", in: "answers")])]
                + [.answer(question.reference, .again)]
        }
        let decision = decide(identity, question.destination, sender.process)
        return [.change(changes)] + settle(question, identity, decision, local: sender, at: now)
    }

    /// A connection to a socket on this host: what the sender may reach, and whom the receiver lets in.
    mutating func judgeLoopback(_ question: PacketQuestion, at now: Instant) -> [BrokerAction] {
        guard let sender = question.sender else { return refuseUnknown(question, at: now) }
        let (from, changes) = learn(sender)
        var actions: [BrokerAction] = [.change(changes)]
        var decision: Decision
        if let receiver = question.receiver {
            let isNew = cgroups[receiver.cgroup]?.receiver == nil
            let (_, changes) = learn(receiver)
            actions.append(.change(changes))
            if isNew { return actions + [.answer(question.reference, .again)] }
            let to = resolve(path: receiver.path, uid: receiver.uid)
            decision = decideLoopback(from.identity, to.identity, question, sender.process)
        } else {
            decision = decide(from.identity, question.destination, sender.process)
        }
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
        if from == to { return Decision(verdict: .allow, reason: .rule) }
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

    /// A connection that somebody outside opens to a workload's socket.
    mutating func judgeInbound(_ question: PacketQuestion, at now: Instant) -> [BrokerAction] {
        guard let receiver = question.receiver else { return refuseUnknown(question, at: now) }
        let (_, changes) = learn(receiver)
        let identity = resolve(path: receiver.path, uid: receiver.uid).identity
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
            actions.append(.change([attempt(question, identity, then: "admit_inbound", in: "arrivals")]))
            actions.append(.answer(question.reference, .again))
            var event = event(of: question, identity: identity, at: now)
            fill(&event, decision, receiver)
            return actions + [.record(event)]
        }
        return actions + refuse(question, identity, decision, window: .knock, local: receiver, at: now)
    }

    mutating func judgeForward(_ question: PacketQuestion, at now: Instant) -> [BrokerAction] {
        settle(question, .forwarded, decide(.forwarded, question.destination, nil), local: nil, at: now)
    }

    private func workload(_ identity: Identity) -> Workload? {
        names[identity.number].flatMap { policies[$0] }
    }

    /// Nobody can be found who asks: the packet goes nowhere, and the record says so.
    private mutating func refuseUnknown(_ question: PacketQuestion, at now: Instant) -> [BrokerAction] {
        guard question.uid != nil else {
            orphans += 1
            return [.answer(question.reference, .drop)]
        }
        var event = event(of: question, identity: .unidentified, at: now)
        event.verdict = .deny
        event.reason = .unidentified
        event.message = "no socket was found for the packet"
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
            return refuse(question, identity, decision, window: kind, local: local, at: now)
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
        let attempt = Attempt(identity: identity, destination: question.destination, port: question.otherPort)
        let earlier = attempts[attempt].flatMap { now < $0.until ? $0.count : nil } ?? 0
        let until = now + .milliseconds(Int64(Self.answerLifetime))
        if attempts.count > Self.queueLength { attempts = attempts.filter { now < $0.value.until } }
        attempts[attempt] = (earlier + 1, until)
        // The answer is bound to the identity that the kernel stamped. A packet that does not find it is another's.
        if earlier >= Self.repeatLimit { return [.answer(question.reference, .drop)] }
        let chain = decision.verdict == .allow ? "allow" : "observe"
        let change: ElementChange
        if question.destination.transport.hasPorts {
            change = self.attempt(question, identity, then: chain, in: "answers")
        } else {
            let suffix = question.destination.address.isV4 ? "4" : "6"
            change = ElementChange(
                set: "others\(suffix)",
                add: [Elements.other(identity, question.destination, then: chain)],
            )
        }
        var actions: [BrokerAction] = [.change([change]), .answer(question.reference, .again)]
        // What goes on under a new generation was told of when it began.
        guard question.opensFlow, earlier == 0 else { return actions }
        var event = event(of: question, identity: identity, at: now)
        fill(&event, decision, local)
        note(&event, at: now)
        actions.append(.record(event))
        return actions
    }

    /// The change that lets one attempt find its answer.
    func attempt(_ question: PacketQuestion, _ identity: Identity, then chain: String, in map: String) -> ElementChange {
        let suffix = question.destination.address.isV4 ? "4" : "6"
        let element = Elements.attempt(
            identity,
            question.destination,
            localPort: question.otherPort,
            then: chain,
            timeout: Self.answerLifetime,
        )
        return ElementChange(set: map + suffix, add: [element])
    }

    mutating func refuse(
        _ question: PacketQuestion,
        _ identity: Identity,
        _ decision: Decision,
        window kind: Window.Kind,
        local: Facts?,
        at now: Instant,
    ) -> [BrokerAction] {
        let key = Window.Key(kind, identity, question.destination)
        if var window = windows[key] {
            // It waited in the queue when the element came into force: there it is counted. One that comes back again and
            // again does not find it, and is counted here.
            window.samePort = window.lastPort == question.otherPort ? window.samePort + 1 : 0
            window.lastPort = question.otherPort
            defer { windows[key] = window }
            guard window.samePort > Self.repeatLimit else { return [.answer(question.reference, .again)] }
            window.dropped += 1
            return [.answer(question.reference, .drop)]
        }
        var event = event(of: question, identity: identity, at: now)
        fill(&event, decision, local)
        if !question.opensFlow, decision.reason == .unknownDestination || decision.reason == .unidentified {
            // It was let through before: by a rule or a grant that is gone.
            event.reason = .revoked
        }
        var actions: [BrokerAction] = []
        if kind != .knock, identity.isWorkload,
            let count = scans[identity, default: ScanDetector()].note(question.destination, at: now), event.finding == nil
        {
            event.finding = .internalScan
            event.message = "\(count) different destinations within \(ScanDetector.span.nanoseconds / 1_000_000_000) s"
        }
        note(&event, at: now)
        actions.append(.record(event))
        if openWindows[identity, default: 0] < Self.windowLimit || kind == .other {
            openWindows[identity, default: 0] += 1
            event.message = nil
            windows[key] = Window(event: event, closes: now + Self.window, countsFirst: true)
            actions.append(.change([ElementChange(set: key.set, add: [key.element])]))
            actions.append(.answer(question.reference, .again))
        } else if kind == .knock {
            actions.append(.answer(question.reference, .drop))
        } else {
            actions.append(.change([attempt(question, identity, then: "refuse", in: "answers")]))
            actions.append(.answer(question.reference, .again))
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
            return refuse(question, identity, decision, window: .denied, local: local, at: now)
        }
        if holds[key]?.packets[question.otherPort] != nil {
            // A retransmission of what waits already.
            return [.answer(question.reference, .drop)]
        }
        guard heldFlows[identity, default: 0] < Self.holdLimit else {
            let limit = Decision(verdict: .deny, reason: .limit)
            return refuse(question, identity, limit, window: .denied, local: local, at: now)
        }
        heldFlows[identity, default: 0] += 1
        if holds[key] != nil {
            holds[key]?.packets[question.otherPort] = question.reference
            return []
        }
        guard let workload = workload(identity), case .hold(let span) = workload.unknown else {
            return refuse(question, identity, decision, window: .denied, local: local, at: now)
        }
        var event = event(of: question, identity: identity, at: now)
        fill(&event, decision, local)
        note(&event, at: now)
        holds[key] = Hold(
            packets: [question.otherPort: question.reference],
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
