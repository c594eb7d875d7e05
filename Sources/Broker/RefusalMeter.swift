internal import Model

/// How many refusals are settled one by one: so many a second, and a few more at once.
///
/// A virtual clock that every refusal sets forward (the generic cell rate algorithm, ITU-T I.371): nothing has to be refilled.
struct RefusalMeter {
    /// At most this many a second, for long.
    static let rate: Int64 = 500
    /// At most this many at once.
    static let burst: Int64 = 1000

    private static let step = Instant.Span(nanoseconds: 1_000_000_000 / rate)
    private static let room = Instant.Span(nanoseconds: step.nanoseconds * burst)

    /// Until when the rate is used up.
    private var used = Instant(nanoseconds: 0)

    /// Notes one more; false when it was too many.
    mutating func note(at now: Instant) -> Bool {
        used = max(used, now) + Self.step
        return used - now <= Self.room
    }

    /// Whether nothing is left of what was noted.
    func isIdle(at now: Instant) -> Bool { used <= now }
}
