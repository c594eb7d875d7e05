package import Model
internal import Wire

extension Resolver {
    /// Puts other upstreams in force: what is not answered yet is asked anew, and the cache stays.
    package mutating func setUpstreams(_ list: [Upstream], at now: Instant) -> [ResolverAction] {
        let wanted = Array(list.prefix(settings.upstreamLimit))
        guard wanted != upstreams else { return [] }
        var actions: [ResolverAction] = []
        for number in lookups.keys.sorted() {
            for exchange in lookups[number]?.exchanges ?? [] { close(exchange, &actions) }
        }
        let known = Dictionary(zip(upstreams, health), uniquingKeysWith: { first, _ in first })
        upstreams = wanted
        health = wanted.map { known[$0] ?? UpstreamHealth() }
        for number in lookups.keys.sorted() {
            lookups[number]?.attempts = Array(repeating: Lookup.Attempt(), count: wanted.count)
            lookups[number]?.wrongCase = 0
            if wanted.isEmpty {
                finish(number, .failure(.serverFailure), at: now, &actions)
            } else {
                askNext(number, at: now, &actions)
                reschedule(number)
            }
        }
        if wanted.isEmpty { failWaiting(&actions) }
        startWaiting(at: now, &actions)
        return actions
    }

    private mutating func failWaiting(_ actions: inout [ResolverAction]) {
        for number in groups.keys.sorted() {
            while let next = groups[number]?.waiting.popFirst() {
                counters.failures += 1
                give(.failure(.serverFailure), to: next.waiter.client, next.question, &actions)
            }
            schedule.remove(.group(number))
        }
    }
}
