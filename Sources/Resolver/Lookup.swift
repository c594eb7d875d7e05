internal import Model
internal import Wire

/// A question that upstreams are being asked, and all who wait for its answer.
struct Lookup: Sendable {
    struct Waiter: Sendable {
        let client: Resolver.Client
        let deadline: Instant
    }

    /// What came of asking one upstream.
    enum Outcome {
        case none
        /// Nothing came for `attemptTimeout`.
        case silent
        /// The socket had an error.
        case failed
        /// It answered, and with nothing that is of use.
        case refused
    }

    struct Attempt: Sendable {
        var count = 0
        /// Not asked again before.
        var ready = Instant(nanoseconds: .min)
        var outcome = Outcome.none
    }

    let question: DNSQuestion
    let started: Instant
    /// The group whose bound it counts for; nil when that group was forgotten.
    var owner: UInt16?
    private(set) var waiters: [Waiter]
    /// The earliest of the waiters' deadlines.
    private(set) var firstDeadline: Instant
    /// The open ones, oldest first.
    var exchanges: [UInt64] = []
    /// One for each upstream.
    var attempts: [Attempt]
    /// When there is something to do, apart from the waiters' deadlines.
    var next: Instant
    /// Answers that were right but for the letters' case.
    var wrongCase = 0

    init(_ question: DNSQuestion, _ waiter: Waiter, upstreams: Int, at now: Instant) {
        self.question = question
        started = now
        owner = waiter.client.group
        waiters = [waiter]
        firstDeadline = waiter.deadline
        attempts = Array(repeating: Attempt(), count: upstreams)
        next = now
    }

    mutating func append(_ waiter: Waiter) {
        waiters.append(waiter)
        firstDeadline = min(firstDeadline, waiter.deadline)
    }

    mutating func removeWaiters(where isGone: (Waiter) -> Bool) {
        waiters.removeAll(where: isGone)
        firstDeadline = waiters.lazy.map(\.deadline).min() ?? firstDeadline
    }
}

/// The questions of one group.
struct Group: Sendable {
    struct Question: Sendable {
        let question: DNSQuestion
        let waiter: Lookup.Waiter
    }

    /// Lookups that it owns.
    var running = 0
    /// Clients of it that wait, for a lookup or for their turn.
    var clients = 0
    var waiting = Fifo<Question>()
    /// Whether it stands in the round of those that could go on if there was room.
    var isReady = false
}
