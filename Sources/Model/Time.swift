/// A point on the monotonic clock, in nanoseconds since an arbitrary start (`CLOCK_BOOTTIME`).
package struct Instant: Hashable, Comparable, Sendable {
    package var nanoseconds: Int64

    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    package static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

    /// The point this much later.
    package static func + (left: Instant, right: Span) -> Instant {
        Instant(nanoseconds: left.nanoseconds + right.nanoseconds)
    }

    /// How much later `left` is.
    package static func - (left: Instant, right: Instant) -> Span {
        Span(nanoseconds: left.nanoseconds - right.nanoseconds)
    }

    /// A length of time.
    package struct Span: Hashable, Comparable, Sendable {
        package var nanoseconds: Int64

        package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

        package static func seconds(_ count: Int64) -> Span { Span(nanoseconds: count * 1_000_000_000) }
        package static func milliseconds(_ count: Int64) -> Span { Span(nanoseconds: count * 1_000_000) }
        package static func microseconds(_ count: Int64) -> Span { Span(nanoseconds: count * 1000) }

        package static func < (left: Span, right: Span) -> Bool { left.nanoseconds < right.nanoseconds }
    }
}

/// A point on the wall clock, in microseconds since 1970-01-01T00:00:00Z.
package struct WallTime: Hashable, Comparable, Sendable {
    package var microseconds: Int64

    package init(microseconds: Int64) { self.microseconds = microseconds }

    package static func < (left: WallTime, right: WallTime) -> Bool { left.microseconds < right.microseconds }

    /// The point this much later.
    package static func + (left: WallTime, right: Instant.Span) -> WallTime {
        WallTime(microseconds: left.microseconds + right.nanoseconds / 1000)
    }
}

extension WallTime: CustomStringConvertible {
    /// RFC 3339 in UTC with microseconds: `2026-11-20T19:51:03.123456Z`.
    package var description: String {
        let (date, time) = civil
        return "\(date)T\(time).\(pad(Int(microseconds - microseconds.floored(1_000_000)), 6))Z"
    }

    /// To the second, for tables: `2026-11-20 19:51:03`.
    package var short: String {
        let (date, time) = civil
        return "\(date) \(time)"
    }

    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    private var civil: (date: String, time: String) {
        let seconds = microseconds.floored(1_000_000) / 1_000_000
        let days = seconds.floored(86_400) / 86_400
        let second = Int(seconds - days * 86_400)
        let shifted = days + 719_468
        let era = shifted.floored(146_097) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthIndex = (5 * dayOfYear + 2) / 153
        let day = Int(dayOfYear - (153 * monthIndex + 2) / 5 + 1)
        let month = Int(monthIndex < 10 ? monthIndex + 3 : monthIndex - 9)
        let year = Int(yearOfEra + era * 400) + (month <= 2 ? 1 : 0)
        return (
            "\(pad(year, 4))-\(pad(month, 2))-\(pad(day, 2))",
            "\(pad(second / 3600, 2)):\(pad(second / 60 % 60, 2)):\(pad(second % 60, 2))"
        )
    }
}

extension Int64 {
    /// The largest multiple of `step` that is not above.
    fileprivate func floored(_ step: Int64) -> Int64 {
        let remainder = self % step
        return self - (remainder < 0 ? remainder + step : remainder)
    }
}

private func pad(_ value: Int, _ width: Int) -> String {
    let text = String(value)
    return String(repeating: "0", count: Swift.max(0, width - text.utf8.count)) + text
}
