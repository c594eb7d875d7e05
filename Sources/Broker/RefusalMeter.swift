internal import Model

/// How many refusals are settled one by one: so many a second, and a few more at once.
struct RefusalRate: Hashable {
    /// At most this many a second, for long.
    var perSecond: Int64 = 500
    /// At most this many at once.
    var burst: Int64 = 1000
    /// How long the kernel refuses without asking when it was one too many.
    var brake = Instant.Span.milliseconds(250)
}

/// Measures how fast somebody is refused.
///
/// A clock that every refusal sets forward (the generic cell rate algorithm, ITU-T I.371): nothing has to be refilled.
struct RefusalMeter {
    private let step: Instant.Span
    private let room: Instant.Span
    /// Until when the rate is used up.
    private var used = Instant(nanoseconds: 0)

    init(_ rate: RefusalRate) {
        step = Instant.Span(nanoseconds: 1_000_000_000 / rate.perSecond)
        room = Instant.Span(nanoseconds: step.nanoseconds * rate.burst)
    }

    /// Notes one more; false when it was one too many.
    mutating func note(at now: Instant) -> Bool {
        let next = max(used, now) + step
        guard next - now <= room else { return false }
        used = next
        return true
    }

    /// Whether nothing is left of what was noted.
    func isIdle(at now: Instant) -> Bool { used <= now }
}
