import Model
import TestSupport
import Wire

@testable import Resolver

extension Simulation {
    mutating func perform(_ actions: [ResolverAction]) {
        for action in actions {
            switch action {
            case .send(let exchange, let upstream, let bytes):
                opened(exchange, upstream)
                serve(bytes, exchange, upstream)
            case .connect(let exchange, let upstream):
                opened(exchange, upstream)
                let isRefused = moods[upstream] == .withoutTCP || moods[upstream] == .refusing
                if moods[upstream] != .silent { later(exchange, isRefused ? .failure : .connected) }
            case .write(let exchange, let bytes):
                guard let upstream = open[exchange] else { return fail("written to what is closed") }
                serveStream(Array(bytes.dropFirst(2)), exchange, upstream)
            case .close(let exchange):
                if open.removeValue(forKey: exchange) == nil { fail("\(exchange) closed and not open") }
            case .answer(let client, let question, let answer): take(answer, client, question)
            }
        }
    }

    private mutating func opened(_ exchange: UInt64, _ upstream: Upstream) {
        if !openedEver.insert(exchange).inserted { fail("\(exchange) opened twice") }
        if !resolver.upstreams.contains(upstream) { fail("\(upstream) asked and none of ours") }
        open[exchange] = upstream
    }

    private mutating func take(_ answer: Answer, _ client: Resolver.Client, _ question: DNSQuestion) {
        guard let known = waiting.removeValue(forKey: client) else {
            return fail("\(client) answered and not waiting")
        }
        let index = Zone.index(question) ?? 0
        note("answer \(question.name) \(answer.code)")
        if known.question != question { fail("\(client) got the answer to another question") }
        if !Zone.agrees(answer, index) { fail("a wrong answer: \(question.name) \(answer.code) \(answer.answers)") }
        if now - known.asked > settings.deadline { fail("an answer after its deadline") }
        answered += 1
        if answer.code == .serverFailure { failed += 1 }
        let isExpected = Zone.kind(index) == .broken
        if weather == .calm, answer.code == .serverFailure, !isExpected {
            fail("a failure in calm weather: \(question.name)")
        }
    }

    private mutating func later(_ exchange: UInt64, _ delivery: Delivery, upTo milliseconds: Int64 = 80) {
        let delay = Int64.random(in: 0...milliseconds, using: &random)
        network.append((now + .milliseconds(delay), exchange, delivery))
    }

    /// What an upstream does with a query, and what others make of it.
    private mutating func serve(_ query: [UInt8], _ exchange: UInt64, _ upstream: Upstream) {
        queries.append((exchange, query))
        if queries.count > 32 { queries.removeFirst() }
        if weather == .foul, random.chance(40) { forge(query, exchange, upstream) }
        let mood = moods[upstream] ?? .good
        if mood == .refusing { return later(exchange, .failure) }
        guard mood != .silent, weather == .calm || !random.chance(10) else { return }
        guard let bytes = response(query, mood, isStream: false) else { return fail("an unreadable query") }
        later(exchange, .datagram(bytes, from: upstream), upTo: mood == .slow ? 2000 : 80)
        if weather == .foul, random.chance(10) { later(exchange, .datagram(bytes, from: upstream), upTo: 1000) }
    }

    private mutating func serveStream(_ query: [UInt8], _ exchange: UInt64, _ upstream: Upstream) {
        guard let bytes = response(query, moods[upstream] ?? .good, isStream: true) else {
            return fail("an unreadable query")
        }
        let framed = [UInt8(bytes.count >> 8), UInt8(bytes.count & 255)] + bytes
        // In order, in pieces, and sometimes the peer closes before the end.
        var at = now
        var rest = framed[...]
        while !rest.isEmpty {
            at = at + .milliseconds(Int64.random(in: 0...20, using: &random))
            if weather == .foul, random.chance(5) { return network.append((at, exchange, .failure)) }
            let piece = rest.prefix(Int.random(in: 1...framed.count, using: &random))
            network.append((at, exchange, .bytes(Array(piece))))
            rest = rest.dropFirst(piece.count)
        }
    }

    private func response(_ query: [UInt8], _ mood: Mood, isStream: Bool) -> [UInt8]? {
        guard let read = try? query.query(), let index = Zone.index(read.question) else { return nil }
        var reply = Zone.reply(index)
        if Zone.kind(index) == .big, !isStream { reply = Reply(isTruncated: true) }
        switch mood {
        case .failing: reply = Reply(code: .refused)
        case .plain where read.extension != nil: reply = Reply(code: .formatError, hasExtension: false)
        case .plain: reply.hasExtension = false
        case .lowercase: reply.echo = { bytes in bytes.map { (0x41...0x5a).contains($0) ? $0 | 0x20 : $0 } }
        default: break
        }
        return try? reply.bytes(to: query)
    }

    /// A message of somebody who can guess anything but not everything.
    private mutating func forge(_ query: [UInt8], _ exchange: UInt64, _ upstream: Upstream) {
        forged += 1
        guard let read = try? query.query() else { return }
        var reply = Reply(answers: [
            DNSRecord(name: read.question.name, type: .a, ttl: 600, data: .address(Zone.forged))
        ])
        if random.chance(30) { reply = Reply(code: .nameError, authorities: [soa("example.org")]) }
        var from = upstream
        let kind = Int.random(in: 0..<8, using: &random)
        if kind == 0 { reply.idOffset = UInt16.random(in: 1...0xffff, using: &random) }
        guard var bytes = try? reply.bytes(to: query) else { return }
        switch kind {
        case 1: from = Upstream(upstream.address, port: upstream.port ^ 1)
        case 2: from = Upstream(.v4(0x0909_0909), port: upstream.port)
        // Letters of "host", of the name's number, the type.
        case 3: for offset in 13...16 where random.chance(60) { bytes[offset] ^= 0x20 }
        case 4: bytes[19] ^= 1
        case 5: bytes[12 + read.question.name.wire.count + 1] = 28
        case 6: bytes[5] = 2
        case 7: bytes[2] &= 0x7f
        default: break
        }
        if kind == 3, bytes[13...16] == query[13...16] { bytes[13] ^= 0x20 }
        later(exchange, .datagram(bytes, from: from), upTo: 10)
        // The forged answer to another exchange's question.
        if let other = queries.first(where: { $0.exchange != exchange && $0.bytes[0..<2] != query[0..<2] }),
            let stray = try? reply.bytes(to: other.bytes)
        {
            later(exchange, .datagram(stray, from: upstream), upTo: 10)
        }
    }

    mutating func deliver(_ delivery: Delivery, _ exchange: UInt64) {
        switch delivery {
        case .datagram(let bytes, let from):
            let (address, port) = (from.address, from.port)
            perform(resolver.received(bytes.raw, exchange: exchange, from: address, port: port, at: now))
        case .connected: perform(resolver.connected(exchange: exchange, at: now))
        case .bytes(let bytes): perform(resolver.receivedStream(bytes.raw, exchange: exchange, at: now))
        case .failure: perform(resolver.failed(exchange: exchange, at: now))
        }
    }
}
