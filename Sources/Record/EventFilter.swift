package import Model

/// Which events are wanted.
///
/// An empty set of kinds or verdicts asks for all.
package struct EventFilter: Hashable, Sendable {
    /// Not before this time.
    package var since: WallTime?
    /// Only after this place in the record: the oldest `limit` of those, for followers.
    ///
    /// Otherwise the newest are taken.
    package var afterSequence: Int64?
    package var workload: String?
    /// The name that was asked for, or that the destination's address is known by, in its canonical text.
    package var name: String?
    package var verdicts: Set<Verdict>
    package var kinds: Set<Event.Kind>
    /// How many at most.
    package var limit: Int
    /// Whether the answer runs from old to new.
    package var newestLast: Bool

    package init(
        since: WallTime? = nil,
        afterSequence: Int64? = nil,
        workload: String? = nil,
        name: String? = nil,
        verdicts: Set<Verdict> = [],
        kinds: Set<Event.Kind> = [],
        limit: Int = 1000,
        newestLast: Bool = true,
    ) {
        self.since = since
        self.afterSequence = afterSequence
        self.workload = workload
        self.name = name
        self.verdicts = verdicts
        self.kinds = kinds
        self.limit = limit
        self.newestLast = newestLast
    }
}
