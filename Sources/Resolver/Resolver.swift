package import Model
package import Wire

/// Finds the answers to questions that somebody else has allowed.
///
/// A pure state machine: questions, datagrams and bytes come in with the time, actions go out, and the daemon performs them.
/// It opens no socket and reads no clock.
package struct Resolver: Sendable {
    /// Who waits for an answer; tokens are the caller's.
    package struct Client: Hashable, Sendable {
        /// The group whose bounds the question counts for: the number of a workload.
        package let group: UInt16
        package let token: UInt64

        package init(group: UInt16, token: UInt64) {
            self.group = group
            self.token = token
        }
    }

    enum Timer: Hashable, Sendable {
        case lookup(UInt64)
        /// The first of the group's questions that wait for their turn.
        case group(UInt16)
    }

    let settings: Settings
    /// In the order in which they are preferred.
    package internal(set) var upstreams: [Upstream]
    package internal(set) var counters = Counters()
    var health: [UpstreamHealth]
    var random: any RandomNumberGenerator & Sendable
    var cache: Cache
    var lookups: [UInt64: Lookup] = [:]
    /// The lookup of every question that upstreams are being asked.
    var running: [DNSQuestion: UInt64] = [:]
    var exchanges: [UInt64: Exchange] = [:]
    var groups: [UInt16: Group] = [:]
    /// The groups that could go on if there was room, in turn.
    var round = Fifo<UInt16>()
    var schedule = Schedule<Timer>()
    var nextNumber: UInt64 = 1
    /// Lookups without an open exchange: room is kept for one each.
    var idleLookups = 0

    /// A resolver that knows nothing yet; `random` must not be predictable by whoever might forge answers.
    package init(
        settings: Settings = Settings(),
        upstreams: [Upstream],
        random: any RandomNumberGenerator & Sendable,
    ) {
        self.settings = settings
        self.upstreams = Array(upstreams.prefix(settings.upstreamLimit))
        self.health = self.upstreams.map { _ in UpstreamHealth() }
        self.random = random
        self.cache = Cache(limit: settings.cacheLimit, byteLimit: settings.cacheBytes)
    }

    /// When `tick` is next due; nil when nothing waits for a time.
    package var nextDeadline: Instant? { schedule.earliest }

    /// The sockets that are open for it.
    package var openExchanges: Int { exchanges.count }

    /// Clients that wait for an answer.
    package var pendingClients: Int { groups.values.reduce(0) { $0 + $1.clients } }

    /// Answers in the cache, and their bytes as far as they can be estimated.
    package var cacheSize: (answers: Int, bytes: Int) { (cache.count, cache.bytes) }

    /// The answer that is known already; nil when an upstream must be asked.
    package mutating func cached(_ question: DNSQuestion, at now: Instant) -> Answer? {
        guard let answer = cache.find(question, at: now) else { return nil }
        counters.hits += 1
        return answer
    }

    /// Asks a question for a client, who gets exactly one answer, at once or within the deadline.
    package mutating func ask(
        _ question: DNSQuestion,
        for client: Client,
        at now: Instant,
    ) -> [ResolverAction] {
        if let answer = cached(question, at: now) {
            return [.answer(client: client, question: question, answer)]
        }
        counters.misses += 1
        guard question.class == DNSClass.internet, !upstreams.isEmpty else {
            counters.failures += 1
            return [.answer(client: client, question: question, .failure(.serverFailure))]
        }
        var actions: [ResolverAction] = []
        let waiter = Lookup.Waiter(client: client, deadline: now + settings.deadline)
        let group = groups[client.group] ?? Group()
        if group.clients >= settings.groupLimit + settings.groupQueueLimit {
            counters.overloads += 1
            return [.answer(client: client, question: question, .failure(.serverFailure))]
        }
        groups[client.group, default: Group()].clients += 1
        if let number = running[question] {
            join(number, waiter)
        } else if hasRoom, group.running < settings.groupLimit {
            start(question, waiter, at: now, &actions)
        } else {
            enqueue(Group.Question(question: question, waiter: waiter))
        }
        return actions
    }

    /// Does what is due.
    package mutating func tick(at now: Instant) -> [ResolverAction] {
        var actions: [ResolverAction] = []
        while let timer = schedule.due(at: now) {
            switch timer {
            case .lookup(let number): goOn(number, at: now, &actions)
            case .group(let group): expireQueue(of: group, at: now, &actions)
            }
        }
        startWaiting(at: now, &actions)
        return actions
    }
}
