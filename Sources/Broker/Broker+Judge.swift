package import Model
internal import Policy
internal import Ruleset
internal import Wire

extension Broker {
    /// Answers one question of the kernel.
    ///
    /// `bytes` are what `question.packet` was read from.
    package mutating func handle(_ question: PacketQuestion, in bytes: RawSpan, at now: Instant) -> [BrokerAction] {
        switch question.kind {
        case .sender, .receiver: identify(question, at: now)
        case .unmarked: judgeUnmarked(question, at: now)
        case .outbound: judge(question, in: bytes, at: now)
        case .flight: judgeFlight(question, in: bytes, at: now)
        case .greeting: judgeGreeting(question, in: bytes, at: now)
        case .reply: judgeReply(question, at: now)
        case .loopback: judgeLoopback(question, at: now)
        case .inbound: judgeInbound(question, at: now)
        case .forward: judgeForward(question, at: now)
        }
    }

    mutating func judge(_ question: PacketQuestion, in bytes: RawSpan, at now: Instant) -> [BrokerAction] {
        guard let sender = question.sender else { return refuseUnknown(question, at: now) }
        if hasMoved(sender, at: now) { return dropAnother(question) }
        if !question.opensFlow, flows[FlowKey(question)] != nil { return judgeFlight(question, in: bytes, at: now) }
        let (assignment, changes) = learn(sender)
        let decision = decide(
            assignment.identity,
            question.destination,
            sender.process,
            isOpen: !question.opensFlow && sender.isConnected,
        )
        var actions: [BrokerAction] = [.change(changes)]
        if let name = decision.name, decision.verdict == .allow {
            actions += prolong(assignment.identity, question.destination, name, at: now)
        }
        if isToBeProved(question, decision) {
            return actions + begin(question, assignment.identity, decision, sender, in: bytes, at: now)
        }
        var question = question
        if question.destination.transport == .udp, decision.verdict != .allow {
            question.flight = look(question, bytes)
        }
        return actions + settle(question, assignment.identity, decision, local: sender, at: now)
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
        let decision = unproved(decide(identity, question.destination, sender.process))
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

    func decideLoopback(
        _ from: Identity,
        _ to: Identity,
        _ question: PacketQuestion,
        _ process: ProcessRecord?,
    ) -> Decision {
        // Past the redirection nobody can tell who asks, so nobody is answered.
        let isResolver = question.destination.address.isLoopback && question.destination.port == settings.resolverPort
        if isResolver, from != .daemon { return Decision(verdict: .deny, reason: .unknownDestination) }
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
        return unproved(decide(from, question.destination, process))
    }

    /// A packet that belongs to no connection: nobody's passes, a workload's never does.
    mutating func judgeUnmarked(_ question: PacketQuestion, at now: Instant) -> [BrokerAction] {
        guard let sender = question.sender else { return refuseUnknown(question, at: now) }
        let (assignment, changes) = learn(sender)
        let identity = assignment.identity
        guard identity != .unidentified else { return [.change(changes), .answer(question.reference, .again)] }
        let key = Window.Key(.unmarked, identity, question.destination)
        let decision = refused(for: .wrongProtocol)
        let actions: [BrokerAction] = [.change(changes), refusal(of: question)]
        if isCounted(decision, key) { return actions }
        var event = event(of: question, identity: identity, at: now)
        fill(&event, decision, sender)
        event.message = "a packet that belongs to no connection"
        return tellOnce(event, key, at: now) + actions
    }

    /// What is decided of a packet that fits no policy: where only is observed it passes.
    private func refused(for reason: Reason) -> Decision {
        settings.observesOnly
            ? Decision(verdict: .observe, reason: .observeMode) : Decision(verdict: .deny, reason: reason)
    }

    /// The same as the answer to the packet: it passes alone, and nothing is known of its connection.
    private func refusal(of question: PacketQuestion) -> BrokerAction {
        .answer(question.reference, settings.observesOnly ? .pass : .drop)
    }

    /// Whether one like it was told of a moment ago; then this one is counted.
    private mutating func isCounted(_ decision: Decision, _ key: Window.Key) -> Bool {
        // The mode may have changed meanwhile.
        guard windows[key]?.event.verdict == decision.verdict else { return false }
        windows[key]?.dropped += 1
        return true
    }

    /// Tells of a packet that no element of the kernel answers for, and has those like it counted here.
    private mutating func tellOnce(_ event: Event, _ key: Window.Key, at now: Instant) -> [BrokerAction] {
        if let together = tellTogether(event, of: key.identity, at: now) { return together }
        var event = event
        requests.note(&event)
        // What is refused beyond a rate is told of together; what is observed is not, and must not fill the memory.
        let hasRoom = event.verdict == .deny || openWindows[key.identity, default: 0] < Self.windowLimit
        if windows[key] == nil, hasRoom {
            openWindows[key.identity, default: 0] += 1
            windows[key] = Window(event: event, closes: now + Self.window, told: 0)
        }
        return [.record(event)]
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
            requests.note(&event)
            return actions + [.record(event)]
        }
        return actions
            + refuse(question, identity, decision, Window.Key(.knock, owner, destination), local: receiver, at: now)
    }

    mutating func judgeForward(_ question: PacketQuestion, at now: Instant) -> [BrokerAction] {
        settle(question, .forwarded, decide(.forwarded, question.destination, nil), local: nil, at: now)
    }

    func workload(_ identity: Identity) -> Workload? {
        names[identity.number].flatMap { policies[$0] }
    }

    /// Whether the packet may bear the stamp of the identity that its cgroup had before a reload.
    ///
    /// Not only what comes from that cgroup for certain: an answer for the identity that lost it would be found by what still
    /// bears its stamp, and a socket that is known by its own end alone may have been taken for another's.
    func hasMoved(_ sender: Facts, at now: Instant) -> Bool {
        if let until = movedCgroups[sender.cgroup], now < until { return true }
        guard !leftIdentities.isEmpty, !sender.isConnected else { return false }
        let identity = resolve(path: sender.path, uid: sender.uid).identity
        return leftIdentities[identity].map { now < $0 } ?? false
    }

    /// Drops a packet that is sent again and then meets what it should.
    mutating func dropAnother(_ question: PacketQuestion) -> [BrokerAction] {
        orphans += 1
        return [.answer(question.reference, .drop)]
    }

    /// Nobody can be found who asks, or the socket was closed already: the packet goes nowhere, and the record says so.
    ///
    /// In observe mode it passes all the same.
    mutating func refuseUnknown(_ question: PacketQuestion, at now: Instant) -> [BrokerAction] {
        orphans += 1
        let message = "the socket was closed, or cannot be found: nobody can be told who sent it"
        return refuseUnstamped(question, nil, .unidentified, because: message, at: now)
    }

    /// The kernel does not find what it was told of the cgroup: the packet goes nowhere, and the record says whose it is.
    mutating func refuseUnfound(
        _ question: PacketQuestion,
        _ facts: Facts,
        _ identity: Identity,
        at now: Instant,
    ) -> [BrokerAction] {
        let message = "the kernel does not find the socket's cgroup among those that it was told of"
        return refuseUnstamped(question, facts, identity, because: message, at: now)
    }

    /// Refuses a packet that bears no stamp of an identity, and tells of the first to each destination and the number of the
    /// rest.
    private mutating func refuseUnstamped(
        _ question: PacketQuestion,
        _ local: Facts?,
        _ identity: Identity,
        because message: String,
        at now: Instant,
    ) -> [BrokerAction] {
        let key = Window.Key(.unmarked, identity, question.destination)
        let (decision, answer) = (refused(for: .unidentified), refusal(of: question))
        if isCounted(decision, key) { return [answer] }
        var event = event(of: question, identity: identity, at: now)
        fill(&event, decision, local)
        event.message = message
        return tellOnce(event, key, at: now) + [answer]
    }
}
