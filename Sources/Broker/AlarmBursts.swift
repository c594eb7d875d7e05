package import Model

/// Alarms that may come by the thousand: the first of a burst is told at once, the rest are counted and told of when it ends.
package struct AlarmBursts {
    private struct Burst {
        let ends: Instant
        var count: UInt64 = 0
        var last = ""
    }

    /// How long a burst lasts.
    package static let span = Instant.Span.seconds(10)

    private var bursts: [String: Burst] = [:]

    package init() {}

    /// Whether an alarm about this subject is told now.
    package mutating func isTold(_ subject: String, _ message: String, at now: Instant) -> Bool {
        // One that has ended and counted nothing is over; what another one counted is not told of yet.
        guard let burst = bursts[subject], now < burst.ends || burst.count > 0 else {
            bursts[subject] = Burst(ends: now + Self.span)
            return true
        }
        bursts[subject]?.count += 1
        bursts[subject]?.last = message
        return false
    }

    /// When a burst ends next, and `takeEnded` is due; nil when there is none.
    package var deadline: Instant? { bursts.values.map(\.ends).min() }

    /// What was counted in the bursts that have ended: the last message, and how many there were.
    package mutating func takeEnded(at now: Instant, all: Bool = false) -> [(message: String, count: UInt64)] {
        let ended = bursts.filter { all || $0.value.ends <= now }
        for subject in ended.keys { bursts[subject] = nil }
        return ended.values.filter { $0.count > 0 }.map { ($0.last, $0.count) }
    }
}
