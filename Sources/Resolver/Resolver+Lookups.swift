internal import Model
internal import Wire

extension Resolver {
    /// Begins to ask upstreams a question; there is room for it.
    mutating func start(
        _ question: DNSQuestion,
        _ waiter: Lookup.Waiter,
        at now: Instant,
        _ actions: inout [ResolverAction],
    ) {
        let number = nextNumber
        nextNumber += 1
        lookups[number] = Lookup(question, waiter, upstreams: upstreams.count, at: now)
        running[question] = number
        idleLookups += 1
        groups[waiter.client.group]?.running += 1
        askNext(number, at: now, &actions)
        askLost(number, at: now, &actions)
        reschedule(number)
    }

    /// One more client waits for a lookup's answer.
    mutating func join(_ number: UInt64, _ waiter: Lookup.Waiter) {
        lookups[number]?.append(waiter)
        reschedule(number)
    }

    mutating func reschedule(_ number: UInt64) {
        guard let lookup = lookups[number] else { return }
        schedule.set(.lookup(number), at: min(lookup.firstDeadline, lookup.next))
    }

    /// Does what is due for a lookup: clients that waited too long, silent upstreams, the next attempt.
    mutating func goOn(_ number: UInt64, at now: Instant, _ actions: inout [ResolverAction]) {
        expireWaiters(of: number, at: now, &actions)
        guard let lookup = lookups[number] else { return }
        if lookup.next <= now {
            noteSilence(of: number, at: now, &actions)
            if isHopeless(number, at: now) {
                return finish(number, .failure(.serverFailure), at: now, &actions)
            }
            askNext(number, at: now, &actions)
        }
        reschedule(number)
    }

    private mutating func expireWaiters(of number: UInt64, at now: Instant, _ actions: inout [ResolverAction]) {
        guard let lookup = lookups[number], lookup.firstDeadline <= now else { return }
        lookups[number]?.removeWaiters { $0.deadline <= now }
        for waiter in lookup.waiters where waiter.deadline <= now {
            counters.failures += 1
            give(.failure(.serverFailure), to: waiter.client, lookup.question, &actions)
        }
        if lookups[number]?.waiters.isEmpty == true { drop(number, &actions) }
    }

    /// Counts the exchanges of which nothing was heard for too long; a TCP connection is given up.
    private mutating func noteSilence(of number: UInt64, at now: Instant, _ actions: inout [ResolverAction]) {
        for open in lookups[number]?.exchanges ?? [] {
            guard let exchange = exchanges[open], !exchange.isLate else { continue }
            let patience = exchange.isStream ? settings.streamTimeout : settings.attemptTimeout
            guard exchange.sent + patience <= now else { continue }
            exchanges[open]?.isLate = true
            counters.timeouts += 1
            health[exchange.upstream].failed(at: now)
            note(.silent, of: exchange)
            if exchange.isStream { close(open, &actions) }
        }
    }

    /// Notes what came of asking an upstream; its silence does not undo its refusal.
    mutating func note(_ outcome: Lookup.Outcome, of exchange: Exchange) {
        let known = lookups[exchange.lookup]?.attempts[exchange.upstream].outcome
        guard outcome != .silent || known != .refused else { return }
        lookups[exchange.lookup]?.attempts[exchange.upstream].outcome = outcome
    }

    /// Whether every upstream was asked, one of them answered, and none has an answer that is of use.
    ///
    /// A silent one is given twice the time of an attempt. Where none answers at all they are asked until the deadline: one
    /// of them may come back.
    private func isHopeless(_ number: UInt64, at now: Instant) -> Bool {
        guard let lookup = lookups[number] else { return false }
        let outcomes = lookup.attempts.map(\.outcome)
        guard outcomes.contains(.refused), !outcomes.contains(.none) else { return false }
        let patience = settings.attemptTimeout.nanoseconds * 2
        return !outcomes.contains(.silent) || (now - lookup.started).nanoseconds >= patience
    }

    /// An attempt came to nothing: the next one is due at once.
    mutating func attemptFailed(_ number: UInt64, at now: Instant, _ actions: inout [ResolverAction]) {
        if isHopeless(number, at: now) {
            finish(number, .failure(.serverFailure), at: now, &actions)
        } else {
            askNext(number, at: now, &actions)
            reschedule(number)
        }
    }

    /// Answers all who wait.
    mutating func finish(
        _ number: UInt64,
        _ answer: Answer,
        at now: Instant,
        _ actions: inout [ResolverAction],
    ) {
        guard let lookup = lookups[number] else { return }
        if answer.content == nil { counters.failures += UInt64(lookup.waiters.count) }
        for waiter in lookup.waiters { give(answer, to: waiter.client, lookup.question, &actions) }
        drop(number, &actions)
    }

    /// Ends a lookup that nobody waits for any more.
    mutating func drop(_ number: UInt64, _ actions: inout [ResolverAction]) {
        for exchange in lookups[number]?.exchanges ?? [] { close(exchange, &actions) }
        guard let lookup = lookups.removeValue(forKey: number) else { return }
        running[lookup.question] = nil
        idleLookups -= 1
        schedule.remove(.lookup(number))
        if let owner = lookup.owner { release(owner) }
    }
}
