internal import Model
internal import Ruleset

/// Who is refused too often is not asked about for a moment: the kernel refuses alone what it would have asked about, and counts
/// it. What is allowed by the maps passes meanwhile, and nobody else notices.
extension Broker {
    /// The window in which the kernel refuses what begins like this without asking; nil for what it always asks about.
    func floodWindow(_ question: PacketQuestion, _ identity: Identity) -> Window.Key? {
        guard question.opensFlow else { return nil }
        switch question.kind {
        case .outbound, .forward: return Window.Key(all: .flood, identity)
        case .loopback where identity.isWorkload: return Window.Key(all: .flood, identity)
        case .inbound: return Window.Key(all: .siege, identity)
        default: return nil
        }
    }

    /// Whether the kernel refuses by itself what this cgroup and user begin: who it is need not be looked for.
    package func isBraked(cgroup id: UInt64, path: String, uid: UInt32?) -> Bool {
        guard !refusals.isEmpty else { return false }
        return windows[Window.Key(all: .flood, identity(cgroup: id, path: path, uid: uid))] != nil
    }

    /// Has the kernel refuse by itself, when this refusal was one too many; `event` tells of it.
    mutating func brake(_ key: Window.Key, _ event: Event, at now: Instant) -> [BrokerAction] {
        guard !refusals[key, default: RefusalMeter(refusalRate)].note(at: now), windows[key] == nil else { return [] }
        var event = event
        event.reason = .limit
        if key.kind == .flood, scans[key.identity]?.isBurst(at: now) ?? false { event.finding = .internalScan }
        event.message = "more than \(refusalRate.perSecond) refusals a second: refused without being looked at"
        event.forgetDestination()
        openWindows[key.identity, default: 0] += 1
        windows[key] = Window(event: event, closes: now + refusalRate.brake, told: 0)
        return [.change([ElementChange(set: key.set, add: [key.element])])]
    }

    /// Counts a refusal together with others when it is one too many to be told of by itself; nil when it is not.
    ///
    /// For what no element of the kernel could answer for.
    mutating func tellTogether(_ event: Event, of identity: Identity, at now: Instant) -> [BrokerAction]? {
        let key = Window.Key(all: .unmarked, identity)
        guard event.verdict == .deny else { return nil }
        guard !refusals[key, default: RefusalMeter(refusalRate)].note(at: now) else { return nil }
        guard windows[key] == nil else {
            windows[key]?.dropped += 1
            return []
        }
        var event = event
        event.reason = .limit
        event.message = "more than \(refusalRate.perSecond) refusals a second: counted together"
        event.forgetDestination()
        requests.note(&event, as: .others)
        openWindows[identity, default: 0] += 1
        windows[key] = Window(event: event, closes: now + Self.window, told: 0)
        return [.record(event)]
    }

    /// Lets go of what is known of identities that have been quiet.
    mutating func forgetRefusals(at now: Instant) { refusals = refusals.filter { !$0.value.isIdle(at: now) } }
}

extension Event {
    /// Makes it stand for requests for many destinations.
    mutating func forgetDestination() {
        destination = nil
        name = nil
        rule = nil
        application = nil
        flight = nil
        latencyMicroseconds = nil
    }
}
