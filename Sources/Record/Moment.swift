package import Model

/// What both clocks of the host said at once: the date, which may be set, and the time since boot, which may not.
package struct Moment: Hashable, Sendable {
    package var wall: WallTime
    package var steady: Instant

    package init(wall: WallTime, steady: Instant) {
        self.wall = wall
        self.steady = steady
    }

    /// How far the date went ahead of the time that passed since an earlier moment of the same boot; negative when it was set
    /// back.
    ///
    /// Nil when the host was started in between.
    package func drift(since earlier: Moment) -> Instant.Span? {
        guard steady >= earlier.steady else { return nil }
        let (dated, overflow) = wall.microseconds.subtractingReportingOverflow(earlier.wall.microseconds)
        let passed = (steady - earlier.steady).nanoseconds / 1000
        let (drift, _) = dated.subtractingReportingOverflow(passed)
        let limit = Int64.max / 1000
        return .microseconds(overflow ? (wall < earlier.wall ? -limit : limit) : min(max(drift, -limit), limit))
    }
}

extension Moment {
    /// The key under which the moment of the last `updateRemaining` is kept.
    static let key = "clock"

    /// As it is kept: microseconds since 1970 and nanoseconds since boot.
    var text: String { "\(wall.microseconds) \(steady.nanoseconds)" }

    /// Reads what `text` wrote; nil for anything else.
    init?(text: String) {
        let numbers = text.split(separator: " ").map { Int64($0) }
        guard numbers.count == 2, let wall = numbers[0], let steady = numbers[1], steady >= 0 else { return nil }
        self.init(wall: WallTime(microseconds: wall), steady: Instant(nanoseconds: steady))
    }
}
