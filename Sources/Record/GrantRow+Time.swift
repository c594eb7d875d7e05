package import Model

extension GrantRow {
    /// What is left when the daemon starts at this time of the wall clock; zero when it ran out meanwhile.
    ///
    /// The time since `saved` is taken off, so that downtime counts. A clock that was set back takes nothing off and gives
    /// nothing: the answer is never more than `remaining`.
    package func remaining(at wall: WallTime) -> Instant.Span {
        let (elapsed, overflow) = wall.microseconds.subtractingReportingOverflow(saved.microseconds)
        return after(overflow ? (wall < saved ? 0 : .max) : max(elapsed, 0))
    }

    /// What is left when the daemon starts, whatever the wall clock was set to since `last`, when grants were saved last.
    ///
    /// A grant may end early then, and never late: of what the two clocks say has passed, the longer counts. The steady
    /// clock tells the least that it can have been; after a new boot it says nothing of the time before, and with a date that
    /// is earlier than the last one nobody knows how long that was: the grant is over.
    package func remaining(at now: Moment, since last: Moment?) -> Instant.Span {
        let byDate = remaining(at: now.wall)
        guard let last else { return byDate }
        guard now.steady >= last.steady else { return now.wall < last.wall ? .seconds(0) : byDate }
        // One that was granted after `last` may lose the little time in between.
        let (before, overflow) = max(last.wall, saved).microseconds.subtractingReportingOverflow(saved.microseconds)
        let (least, isTooLong) = before.addingReportingOverflow((now.steady - last.steady).nanoseconds / 1000)
        return min(byDate, after(overflow || isTooLong ? .max : least))
    }

    /// What is left after this many microseconds, which are compared because their nanoseconds may exceed Int64.
    private func after(_ microseconds: Int64) -> Instant.Span {
        let left = min(remaining, duration)
        guard microseconds < left.nanoseconds / 1000 + 1 else { return .seconds(0) }
        return max(Instant.Span(nanoseconds: left.nanoseconds - microseconds * 1000), .seconds(0))
    }
}
