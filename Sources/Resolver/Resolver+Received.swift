package import Model
internal import Wire

extension Resolver {
    /// What an upstream's message means for the exchange that it came on.
    private enum Meaning {
        case answer(AnswerContent)
        /// Does not fit a datagram, so it is asked for over TCP.
        case truncated
        /// The server knows no EDNS.
        case withoutExtension
        case refusal
    }

    /// A datagram came on an exchange's socket.
    ///
    /// Whatever does not fit the question in every byte is dropped, and waiting goes on.
    package mutating func received(
        _ datagram: RawSpan,
        exchange key: UInt64,
        from address: IPAddress,
        port: UInt16,
        at now: Instant,
    ) -> [ResolverAction] {
        guard let exchange = exchanges[key], !exchange.isStream else {
            counters.late += 1
            return []
        }
        var actions: [ResolverAction] = []
        let fit = upstreams[exchange.upstream] == Upstream(address, port: port) ? exchange.fit(datagram) : .none
        switch fit {
        case .exact:
            take(meaning(of: datagram, for: exchange), key, exchange, at: now, &actions)
        case .bareError where exchange.hasExtension:
            take(.withoutExtension, key, exchange, at: now, &actions)
        case .otherCase:
            counters.wrongCase += 1
            lookups[exchange.lookup]?.wrongCase += 1
            if let count = lookups[exchange.lookup]?.wrongCase, count >= settings.caseLimit {
                take(.truncated, key, exchange, at: now, &actions)
            }
        case .none, .bareError:
            counters.mismatches += 1
        }
        startWaiting(at: now, &actions)
        return actions
    }

    /// A TCP connection stands.
    package mutating func connected(exchange key: UInt64, at now: Instant) -> [ResolverAction] {
        guard let exchange = exchanges[key], exchange.isStream else { return [] }
        let query = exchange.query(payloadSize: settings.payloadSize)
        // RFC 1035 §4.2.2: the length goes first.
        return [.write(exchange: key, bytes: [UInt8(query.count >> 8), UInt8(query.count & 255)] + query)]
    }

    /// Bytes came on a TCP connection.
    package mutating func receivedStream(
        _ bytes: RawSpan,
        exchange key: UInt64,
        at now: Instant,
    ) -> [ResolverAction] {
        guard let exchange = exchanges[key], exchange.isStream else {
            counters.late += 1
            return []
        }
        var actions: [ResolverAction] = []
        if let wanted = append(bytes, to: key), let received = exchanges[key]?.received {
            if wanted > settings.messageLimit {
                take(.refusal, key, exchange, at: now, &actions)
            } else if received.count == wanted + 2 {
                let message = unsafe received.span.bytes.extracting(2..<received.count)
                takeStream(message, key, exchange, at: now, &actions)
            }
        }
        startWaiting(at: now, &actions)
        return actions
    }

    /// Keeps what belongs to the first message of a connection; its length, once that is known.
    private mutating func append(_ bytes: RawSpan, to key: UInt64) -> Int? {
        var received = exchanges[key]?.received ?? []
        exchanges[key]?.received = []
        defer { exchanges[key]?.received = received }
        var offset = 0
        while received.count < 2, let byte = bytes.byte(at: offset) {
            received.append(byte)
            offset += 1
        }
        guard received.count >= 2 else { return nil }
        let wanted = Int(received[0]) << 8 | Int(received[1])
        guard wanted <= settings.messageLimit else { return wanted }
        while received.count < wanted + 2, let byte = bytes.byte(at: offset) {
            received.append(byte)
            offset += 1
        }
        return wanted
    }

    private mutating func takeStream(
        _ message: RawSpan,
        _ key: UInt64,
        _ exchange: Exchange,
        at now: Instant,
        _ actions: inout [ResolverAction],
    ) {
        switch exchange.fit(message) {
        case .exact, .otherCase:
            // The connection says who answers; a server that changes the case is asked over TCP for that reason.
            take(meaning(of: message, for: exchange), key, exchange, at: now, &actions)
        case .bareError where exchange.hasExtension:
            take(.withoutExtension, key, exchange, at: now, &actions)
        case .none, .bareError:
            counters.mismatches += 1
            take(.refusal, key, exchange, at: now, &actions)
        }
    }

    /// The exchange's socket had an error, or its peer closed the connection.
    package mutating func failed(exchange key: UInt64, at now: Instant) -> [ResolverAction] {
        guard let exchange = exchanges[key] else { return [] }
        var actions: [ResolverAction] = []
        counters.socketErrors += 1
        health[exchange.upstream].failed(at: now)
        note(.failed, of: exchange)
        close(key, &actions)
        attemptFailed(exchange.lookup, at: now, &actions)
        startWaiting(at: now, &actions)
        return actions
    }

    private func meaning(of bytes: RawSpan, for exchange: Exchange) -> Meaning {
        guard let header = try? DNSHeader(bytes) else { return .refusal }
        // Not read any further: what was cut off may leave half a record behind.
        if header.isTruncated { return exchange.isStream ? .refusal : .truncated }
        let code = header.responseCode
        if exchange.hasExtension, code == .formatError || code == .notImplemented { return .withoutExtension }
        guard let message = try? DNSMessage(bytes) else { return .refusal }
        if exchange.hasExtension, message.responseCode == .badVersion { return .withoutExtension }
        guard let lookup = lookups[exchange.lookup] else { return .refusal }
        let content = Sanitiser(question: lookup.question, settings: settings).content(of: message)
        return content.map(Meaning.answer) ?? .refusal
    }

    private mutating func take(
        _ meaning: Meaning,
        _ key: UInt64,
        _ exchange: Exchange,
        at now: Instant,
        _ actions: inout [ResolverAction],
    ) {
        health[exchange.upstream].answered()
        close(key, &actions)
        let (number, upstream) = (exchange.lookup, exchange.upstream)
        switch meaning {
        case .answer(let content):
            if !exchange.hasExtension { health[upstream].knowsNoExtension(at: now) }
            keep(content, of: number, at: now)
            finish(number, Answer(content, age: 0, isFromCache: false), at: now, &actions)
        case .truncated:
            openStream(number, to: upstream, hasExtension: exchange.hasExtension, at: now, &actions)
        case .withoutExtension:
            sendDatagram(number, to: upstream, hasExtension: false, at: now, &actions)
        case .refusal:
            counters.refusals += 1
            note(.refused, of: exchange)
            attemptFailed(number, at: now, &actions)
        }
    }

    private mutating func keep(_ content: AnswerContent, of number: UInt64, at now: Instant) {
        guard let lookup = lookups[number], content.recordCount <= settings.answerRecords,
            content.template.bytes.count <= settings.answerBytes
        else { return }
        cache.insert(content, for: lookup.question, at: now)
    }
}
