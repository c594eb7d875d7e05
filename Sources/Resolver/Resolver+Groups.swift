package import Model
internal import Wire

extension Resolver {
    /// Whether one more lookup can have a socket, with one kept for every lookup that has none now.
    var hasRoom: Bool { exchanges.count + idleLookups < settings.globalLimit }

    /// Lets a question wait for its turn.
    mutating func enqueue(_ question: Group.Question) {
        let number = question.waiter.client.group
        groups[number, default: Group()].waiting.append(question)
        scheduleQueue(of: number)
        makeReady(number)
    }

    /// Puts the group into the round when it has something that its own bound lets go on.
    private mutating func makeReady(_ number: UInt16) {
        guard let group = groups[number], !group.isReady, !group.waiting.isEmpty, group.running < settings.groupLimit
        else { return }
        groups[number]?.isReady = true
        round.append(number)
    }

    private mutating func scheduleQueue(of number: UInt16) {
        if let first = groups[number]?.waiting.first {
            schedule.set(.group(number), at: first.waiter.deadline)
        } else {
            schedule.remove(.group(number))
        }
    }

    /// Lets the groups go on in turn, one question each, while there is room.
    mutating func startWaiting(at now: Instant, _ actions: inout [ResolverAction]) {
        while hasRoom, let number = round.popFirst() {
            groups[number]?.isReady = false
            guard let next = groups[number]?.waiting.popFirst() else {
                dropIfEmpty(number)
                continue
            }
            scheduleQueue(of: number)
            if let answer = cached(next.question, at: now) {
                give(answer, to: next.waiter.client, next.question, &actions)
            } else if let lookup = running[next.question] {
                join(lookup, next.waiter)
            } else {
                start(next.question, next.waiter, at: now, &actions)
            }
            makeReady(number)
        }
    }

    /// A lookup of the group has ended.
    mutating func release(_ number: UInt16) {
        groups[number]?.running -= 1
        makeReady(number)
        dropIfEmpty(number)
    }

    /// Those that have waited for their turn for too long get SERVFAIL.
    mutating func expireQueue(of number: UInt16, at now: Instant, _ actions: inout [ResolverAction]) {
        while let first = groups[number]?.waiting.first, first.waiter.deadline <= now {
            _ = groups[number]?.waiting.popFirst()
            counters.failures += 1
            give(.failure(.serverFailure), to: first.waiter.client, first.question, &actions)
        }
        scheduleQueue(of: number)
    }

    /// Answers a client that waited.
    mutating func give(
        _ answer: Answer,
        to client: Client,
        _ question: DNSQuestion,
        _ actions: inout [ResolverAction],
    ) {
        actions.append(.answer(client: client, question: question, answer))
        groups[client.group]?.clients -= 1
        dropIfEmpty(client.group)
    }

    private mutating func dropIfEmpty(_ number: UInt16) {
        guard let group = groups[number], group.clients == 0, group.running == 0, !group.isReady else { return }
        groups[number] = nil
        schedule.remove(.group(number))
    }

    /// The group is gone: nobody waits for its answers any more, and none is given.
    package mutating func forget(group number: UInt16, at now: Instant) -> [ResolverAction] {
        guard groups[number] != nil else { return [] }
        var actions: [ResolverAction] = []
        for lookup in lookups.keys.sorted() {
            lookups[lookup]?.removeWaiters { $0.client.group == number }
            if lookups[lookup]?.owner == number { lookups[lookup]?.owner = nil }
            if lookups[lookup]?.waiters.isEmpty == true { drop(lookup, &actions) } else { reschedule(lookup) }
        }
        groups[number] = nil
        round.removeAll { $0 == number }
        schedule.remove(.group(number))
        startWaiting(at: now, &actions)
        return actions
    }
}
