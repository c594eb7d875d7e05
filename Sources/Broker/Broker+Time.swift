package import Model
internal import Policy
internal import Ruleset

extension Broker {
    /// Closes what has lasted long enough: windows, holds, grants.
    package mutating func tick(at now: Instant) -> [BrokerAction] {
        var actions: [BrokerAction] = []
        for (key, hold) in holds where hold.deadline <= now {
            actions += end(hold, key, at: now)
        }
        for (key, window) in windows where window.closes <= now {
            actions.append(.settle(key))
            // Asked for once; a window that the kernel does not answer for is asked for again in a second.
            windows[key]?.closes = now + .seconds(1)
        }
        for grant in grants.values where grant.state == .active && grant.expiry <= now {
            actions += end(grant, as: .expired, actor: nil, reason: nil, at: now)
        }
        actions += endFlows(at: now) + closeFlightWindows(at: now)
        actions += closeNameWindows(at: now) { $1.closes <= now } + endPins(at: now) + takeReminders(at: now)
        forgetAttempts(at: now)
        forgetRefusals(at: now)
        movedCgroups = movedCgroups.filter { now < $0.value }
        leftIdentities = leftIdentities.filter { now < $0.value }
        return actions
    }

    /// Every window, for a daemon that stops: what was counted is told of.
    package mutating func closeWindows(at now: Instant) -> [BrokerAction] {
        windows.keys.map { .settle($0) } + closeFlightWindows(at: now, all: true)
            + closeNameWindows(at: now) { _, _ in true }
    }

    /// The kernel has let go of a window's element, which had met this many packets.
    package mutating func settled(_ key: Window.Key, packets: UInt64, at now: Instant) -> [BrokerAction] {
        guard let window = windows.removeValue(forKey: key) else { return [] }
        openWindows[key.identity, default: 1] -= 1
        if openWindows[key.identity] == 0 { openWindows[key.identity] = nil }
        guard var event = report(of: window, key, packets: packets, at: now) else { return [] }
        if key.isForMany { requests.note(&event, as: .others) } else { requests.countAgain(&event) }
        return [.record(event)]
    }

    /// The denials that `settled` would tell of now; nil when there are none.
    package func denials(of key: Window.Key, packets: UInt64, at now: Instant) -> Event? {
        guard let window = windows[key], window.event.verdict == .deny else { return nil }
        return report(of: window, key, packets: packets, at: now)
    }

    /// What is told of the repetitions that a window has counted: nobody looked at who made them.
    private func report(of window: Window, _ key: Window.Key, packets: UInt64, at now: Instant) -> Event? {
        let counted = packets + window.dropped
        guard counted > window.told else { return nil }
        var event = window.event
        event.time = wall(now)
        event.count = counted - window.told
        event.forgetProgram()
        // What stands for many destinations says so already.
        guard !key.isForMany else { return event }
        // It was told by the program, or by the first bytes.
        if event.destination != nil { (event.application, event.flight) = (nil, nil) }
        let passed = event.verdict != .deny
        let settled = (passed ? "let through" : "refused") + (key.isInKernel ? " by the kernel" : "")
        event.add("repetitions within \(Self.windowSeconds) s, \(settled): their programs are not known")
        return event
    }

    /// What the kernel let through by its maps, or a fixed rule refused.
    package mutating func handle(_ packet: LoggedPacket, at now: Instant) -> [BrokerAction] {
        // What goes on under a new generation was told of when it began.
        guard packet.opensFlow else { return [] }
        var event = Event(time: wall(now), kind: packet.kind == .inbound ? .inbound : .request)
        event.destination = packet.destination
        if packet.kind == .injected {
            event.verdict = settings.observesOnly ? .observe : .deny
            event.reason = .unidentified
            event.message = "a frame that no socket sent was on the loopback interface"
            requests.note(&event)
            return [.record(event)]
        }
        if packet.kind == .strayed {
            event.message = "a request for a name through a socket that is bound to a device"
            let identity = packet.local.map { learn($0).0.identity }
            event.workload = identity.flatMap(workloadName)
            fill(&event, Decision(verdict: .deny, reason: .nameNotAllowed), packet.local)
            requests.note(&event)
            return [.record(event)]
        }
        guard let local = packet.local, !isAnothers(packet, local) else {
            event.verdict = .allow
            event.reason = .rule
            event.message = "the process was gone before it could be asked for"
            return [.record(event)]
        }
        let (assignment, changes) = learn(local)
        let identity = assignment.identity
        event.workload = workloadName(identity)
        event.name = knownName(identity, packet.destination.address)
        if identity.isWorkload { event.generation = UInt32(assignment.generation) }
        if packet.kind == .inbound {
            let rule = names[identity.number].flatMap { policies[$0] }?.admits(
                peer: packet.destination.address,
                port: packet.destination.port,
                transport: packet.destination.transport,
            )
            fill(&event, Decision(verdict: .allow, reason: .rule, rule: rule?.name), local)
            return [.change(changes), .record(event)]
        }
        var decision = decide(identity, packet.destination, local.process)
        if decision.verdict != .allow { decision = Decision(verdict: .allow, reason: .rule) }
        fill(&event, decision, local)
        // The daemon's own questions to its name servers are not told of, each time neither.
        let isOwn = identity == .daemon && settings.upstreams.contains(packet.destination)
        var actions: [BrokerAction] = isOwn ? [.change(changes)] : [.change(changes), .record(event)]
        // What any program may do by the policy itself needs no second look; a grant and a pin can end while no daemon runs.
        let general = decide(identity, packet.destination, nil)
        let isRule = identity.isWorkload && general.reason == .rule && general.name == nil && general.isPlain
        if let name = decision.name { actions += prolong(identity, packet.destination, name, at: now) }
        let key = Window.Key(isRule ? .lately : .seen, identity, packet.destination)
        if windows[key] == nil, openWindows[identity, default: 0] < Self.windowLimit {
            openWindows[identity, default: 0] += 1
            windows[key] = Window(event: event, closes: now + Self.window, told: isOwn ? .max : 0)
            let element = isRule ? Elements.lately(packet.destination, assignment.stamp(.allowed)) : key.element
            actions.append(.change([ElementChange(set: key.set, add: [element])]))
        }
        return actions
    }

    /// Whether a datagram's port has another owner by now, who could not have sent it.
    private func isAnothers(_ packet: LoggedPacket, _ local: Facts) -> Bool {
        guard packet.kind == .allowed, packet.destination.transport == .udp else { return false }
        let identity = resolve(path: local.path, uid: local.uid).identity
        return decide(identity, packet.destination, local.process).verdict != .allow
    }

    /// Nobody approved it in time.
    private mutating func end(_ hold: Hold, _ key: Window.Key, at now: Instant) -> [BrokerAction] {
        holds[key] = nil
        release(key, hold)
        var event = hold.event
        event.time = wall(now)
        event.verdict = .deny
        event.reason = .holdExpired
        event.latencyMicroseconds = max(0, (now - hold.question.arrived).nanoseconds / 1000)
        requests.note(&event)
        event.message = nil
        openWindows[key.identity, default: 0] += 1
        // What waited meets the element and was told of just now; what was given up meanwhile does not meet it.
        windows[key] = Window(event: event, closes: now + Self.window, told: hold.packets.isEmpty ? 0 : 1)
        let answers = hold.packets.values.map { BrokerAction.answer($0, .again) }
        return [.record(event), .change([ElementChange(set: key.set, add: [key.element])])] + answers
    }

    mutating func release(_ key: Window.Key, _ hold: Hold) {
        heldFlows[key.identity, default: hold.packets.count] -= hold.packets.count
        if heldFlows[key.identity] == 0 { heldFlows[key.identity] = nil }
    }
}
