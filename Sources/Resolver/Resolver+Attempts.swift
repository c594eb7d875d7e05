internal import Model
internal import Wire

extension Resolver {
    /// At most this many exchanges of one lookup are open.
    private static var exchangeLimit: Int { 3 }

    private var isEveryUpstreamDown: Bool { health.allSatisfy(\.isDown) }

    /// Asks the upstream whose turn it is, or waits until one may be asked again.
    mutating func askNext(_ number: UInt64, at now: Instant, _ actions: inout [ResolverAction]) {
        guard let lookup = lookups[number] else { return }
        guard let upstream = choose(lookup, at: now) else {
            let ready = lookup.attempts.map(\.ready).min() ?? now + settings.attemptTimeout
            lookups[number]?.next = ready
            return
        }
        // When all are down, each one is asked as often as a single one would be.
        let share = isEveryUpstreamDown ? Int64(upstreams.count) : 1
        let pause = Instant.Span(nanoseconds: max(settings.attemptTimeout.nanoseconds / share, 50_000_000))
        lookups[number]?.next = now + pause
        send(number, to: upstream, at: now, &actions)
    }

    /// The upstream that was asked least; of those one that is not down; of those the first.
    ///
    /// One that is down counts as asked once more, so that a lost datagram does not lead to it.
    private func choose(_ lookup: Lookup, at now: Instant) -> Int? {
        let ready = upstreams.indices.filter { lookup.attempts[$0].ready <= now }
        return ready.min { left, right in rank(left, lookup) < rank(right, lookup) }
    }

    private func rank(_ upstream: Int, _ lookup: Lookup) -> (Int, Int, Int) {
        let down = health[upstream].isDown ? 1 : 0
        return (lookup.attempts[upstream].count + down, down, upstream)
    }

    /// Sends a copy to an upstream that was down, now and then, while others answer: so its return is noticed.
    mutating func askLost(_ number: UInt64, at now: Instant, _ actions: inout [ResolverAction]) {
        guard upstreams.count > 1, !isEveryUpstreamDown else { return }
        let lost = upstreams.indices.first { health[$0].isDown && health[$0].nextProbe <= now }
        guard let lost, mayOpenMore, lookups[number]?.attempts[lost].count == 0 else { return }
        health[lost].probed(at: now)
        send(number, to: lost, at: now, &actions)
    }

    /// Whether a lookup may have more than one exchange: half of the room is for first ones.
    private var mayOpenMore: Bool { exchanges.count + idleLookups < settings.globalLimit / 2 }

    /// Asks an upstream over UDP.
    private mutating func send(
        _ number: UInt64,
        to upstream: Int,
        at now: Instant,
        _ actions: inout [ResolverAction],
    ) {
        let ready = now + settings.attemptTimeout
        lookups[number]?.attempts[upstream].count += 1
        lookups[number]?.attempts[upstream].ready = ready
        let hasExtension = health[upstream].plainUntil <= now
        sendDatagram(number, to: upstream, hasExtension: hasExtension, at: now, &actions)
    }

    mutating func sendDatagram(
        _ number: UInt64,
        to upstream: Int,
        hasExtension: Bool,
        at now: Instant,
        _ actions: inout [ResolverAction],
    ) {
        guard let (key, exchange) = open(number, upstream, isStream: false, hasExtension, at: now, &actions) else {
            return
        }
        counters.datagrams += 1
        let bytes = exchange.query(payloadSize: settings.payloadSize)
        actions.append(.send(exchange: key, to: upstreams[upstream], bytes: bytes))
    }

    /// Asks an upstream over TCP, unless the lookup has a connection already.
    mutating func openStream(
        _ number: UInt64,
        to upstream: Int,
        hasExtension: Bool,
        at now: Instant,
        _ actions: inout [ResolverAction],
    ) {
        guard let lookup = lookups[number], !lookup.exchanges.contains(where: { exchanges[$0]?.isStream == true }),
            let (key, _) = open(number, upstream, isStream: true, hasExtension, at: now, &actions)
        else { return }
        counters.streams += 1
        let next = now + settings.streamTimeout
        lookups[number]?.next = next
        actions.append(.connect(exchange: key, to: upstreams[upstream]))
        reschedule(number)
    }

    /// Makes room for an exchange if it must, and opens it.
    private mutating func open(
        _ number: UInt64,
        _ upstream: Int,
        isStream: Bool,
        _ hasExtension: Bool,
        at now: Instant,
        _ actions: inout [ResolverAction],
    ) -> (UInt64, Exchange)? {
        guard let lookup = lookups[number] else { return nil }
        if lookup.exchanges.count >= (mayOpenMore ? Self.exchangeLimit : 1) {
            // A connection has got further than a datagram.
            let oldest = lookup.exchanges.first { exchanges[$0]?.isStream == false } ?? lookup.exchanges.first
            if let oldest { close(oldest, &actions) }
        }
        let bits = random.next()
        let exchange = Exchange(
            lookup: number,
            upstream: upstream,
            id: UInt16(truncatingIfNeeded: bits),
            question: Exchange.spelled(lookup.question, &random, bits: bits >> 16, count: 48),
            isStream: isStream,
            hasExtension: hasExtension,
            sent: now,
        )
        let key = nextNumber
        nextNumber += 1
        if lookups[number]?.exchanges.isEmpty == true { idleLookups -= 1 }
        lookups[number]?.exchanges.append(key)
        exchanges[key] = exchange
        return (key, exchange)
    }

    /// Ends an exchange.
    mutating func close(_ key: UInt64, _ actions: inout [ResolverAction]) {
        guard let exchange = exchanges.removeValue(forKey: key) else { return }
        actions.append(.close(exchange: key))
        lookups[exchange.lookup]?.exchanges.removeAll { $0 == key }
        if lookups[exchange.lookup]?.exchanges.isEmpty == true { idleLookups += 1 }
    }
}
