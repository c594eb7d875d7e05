internal import Model
internal import Ruleset

/// Who is refused too often is not asked about for a moment: the kernel refuses alone what it would have asked about, and counts
/// it. What is allowed by the maps passes meanwhile, and nobody else notices.
extension Broker {
    /// How long an identity is not asked about.
    static let brake = Instant.Span.milliseconds(250)

    /// Has the kernel refuse by itself, when this refusal was one too many; `event` tells of it.
    mutating func brakeFlood(of identity: Identity, isInbound: Bool, _ event: Event, at now: Instant) -> [BrokerAction] {
        let key = Window.Key(all: isInbound ? .siege : .flood, identity)
        guard !refusals[key, default: RefusalMeter()].note(at: now), windows[key] == nil else { return [] }
        var event = event
        event.reason = .limit
        if scans[identity]?.isBurst(at: now) ?? false { event.finding = .internalScan }
        event.message = "more than \(RefusalMeter.rate) refusals a second: refused by the kernel without being looked at"
        event.forgetDestination()
        openWindows[identity, default: 0] += 1
        windows[key] = Window(event: event, closes: now + Self.brake, told: 0)
        return [.change([ElementChange(set: key.set, add: [key.element])])]
    }

    /// The window of a refusal that no element of the kernel answers for: one for many destinations when there are too many.
    func ownWindow(_ identity: Identity, _ destination: Destination) -> Window.Key {
        let key = Window.Key(.unmarked, identity, destination)
        let hasRoom = windows[key] != nil || openWindows[identity, default: 0] < Self.windowLimit
        return hasRoom ? key : Window.Key(all: .unmarked, identity)
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
