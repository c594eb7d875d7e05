package import Model

/// How much of the processor the searches for a socket's holder may take of the loop.
///
/// It is counted in the thread's own time on a processor: on a host whose processors are all busy a search takes longer, and is
/// no more expensive for it.
/// The number of a workload's processes and descriptors is the workload's own choice: without a budget a program that
/// opens many could keep every other workload's verdict waiting. Each cgroup earns a share of the time that passes, and
/// all of them together earn another; a search ends when either is used up, and the record then names no process.
package struct SearchBudget {
    /// A bucket that fills as time passes.
    private struct Bucket {
        let capacity: Int64
        /// The part of the time that is earned is one of this many.
        let divisor: Int64
        private(set) var credit: Int64
        private var last: Instant

        init(capacity: Instant.Span, divisor: Int64, at now: Instant) {
            self.capacity = capacity.nanoseconds
            self.divisor = divisor
            credit = capacity.nanoseconds
            last = now
        }

        mutating func earn(until now: Instant) {
            credit = min(capacity, credit + max(0, (now - last).nanoseconds) / divisor)
            last = now
        }

        mutating func spend(_ span: Int64) { credit -= span }
    }

    private var all: Bucket
    private var cgroups: [String: Bucket] = [:]
    private let isUnlimited: Bool

    /// No search takes more of the processor than this.
    private static let longestSearch = Instant.Span.milliseconds(20)
    /// No packet waits longer than this for one search, busy as the host may be.
    private static let longestWait = Instant.Span.milliseconds(200)
    /// How many cgroups are told apart; beyond that all start anew.
    private static let cgroupLimit = 1024

    /// A full budget; without limits for tests, and for callers that may wait.
    package init(at now: Instant, isUnlimited: Bool = false) {
        self.isUnlimited = isUnlimited
        all = Bucket(capacity: .milliseconds(500), divisor: 2, at: now)
    }

    /// When a search for a socket of this cgroup must have ended that starts now, by both clocks; nil when it may not start.
    package mutating func deadline(for cgroup: String, at now: Instant, processor: Instant) -> SearchDeadline? {
        if isUnlimited { return SearchDeadline(wall: now + .seconds(3600), processor: processor + .seconds(3600)) }
        all.earn(until: now)
        if cgroups.count >= Self.cgroupLimit { cgroups.removeAll() }
        var bucket = cgroups[cgroup] ?? Bucket(capacity: .milliseconds(250), divisor: 2, at: now)
        bucket.earn(until: now)
        cgroups[cgroup] = bucket
        let credit = min(all.credit, bucket.credit)
        // Less than this finds nothing: it is saved up instead.
        guard credit >= 100_000 else { return nil }
        let allowance = min(Instant.Span(nanoseconds: credit), Self.longestSearch)
        return SearchDeadline(wall: now + Self.longestWait, processor: processor + allowance)
    }

    /// Takes what a search has cost of the processor.
    package mutating func spend(_ cost: Instant.Span, for cgroup: String) {
        all.spend(cost.nanoseconds)
        cgroups[cgroup]?.spend(cost.nanoseconds)
    }
}
