import Model
import TestSupport
import Wire

@testable import Resolver

/// The resolver, upstreams and a bad network, played against each other by one seed.
struct Simulation {
    enum Weather: CaseIterable {
        /// Upstreams answer, nothing is lost: every name that has an answer gets it.
        case calm
        /// Upstreams die and return, datagrams are lost, repeated, late and forged, groups go, upstreams are changed.
        case foul
    }

    enum Mood: CaseIterable {
        case good, silent, refusing, failing, lowercase, plain, withoutTCP, slow
    }

    enum Delivery {
        case datagram([UInt8], from: Upstream)
        case connected
        case bytes([UInt8])
        case failure
    }

    struct Waiting {
        let question: DNSQuestion
        let asked: Instant
    }

    let weather: Weather
    let settings: Resolver.Settings
    var random: SplitMix
    var now = Instant(nanoseconds: 1_000_000_000_000)
    var resolver: Resolver
    var moods: [Upstream: Mood] = [:]
    /// What is on its way, to which exchange.
    var network: [(at: Instant, exchange: UInt64, Delivery)] = []
    var open: [UInt64: Upstream] = [:]
    var openedEver: Set<UInt64> = []
    /// The queries of exchanges, for answers that go astray.
    var queries: [(exchange: UInt64, bytes: [UInt8])] = []
    var waiting: [Resolver.Client: Waiting] = [:]
    var nextToken: UInt64 = 1
    var failures: [String] = []
    var trace: [String] = []
    // What was counted.
    var answered = 0
    var failed = 0
    var cached = 0
    var forged = 0
    var forgotten = 0

    static let all = (1...4).map { Upstream(.v4(0x0a00_0000 + $0), port: $0 == 4 ? 5353 : 53) }

    init(seed: UInt64, weather: Weather) {
        self.weather = weather
        var random = SplitMix(state: seed)
        var settings = Resolver.Settings()
        settings.cacheLimit = Int.random(in: 0...40, using: &random)
        settings.cacheBytes = Int.random(in: 1000...100_000, using: &random)
        settings.groupLimit = Int.random(in: 1...8, using: &random)
        settings.groupQueueLimit = Int.random(in: 0...12, using: &random)
        settings.globalLimit = Int.random(in: 1...24, using: &random)
        settings.caseLimit = Int.random(in: 1...2, using: &random)
        if weather == .calm {
            settings.globalLimit = 32
            settings.groupQueueLimit = 40
        }
        self.settings = settings
        let upstreams = Array(Self.all.prefix(Int.random(in: 1...4, using: &random)))
        resolver = Resolver(settings: settings, upstreams: upstreams, random: SplitMix(state: random.next()))
        self.random = random
        for upstream in Self.all { moods[upstream] = .good }
    }

    mutating func fail(_ text: String) {
        if failures.count < 5 { failures.append("\(text); before: \(trace.suffix(8).joined(separator: " | "))") }
    }

    mutating func note(_ text: String) {
        trace.append(text)
        if trace.count > 64 { trace.removeFirst(32) }
    }

    // MARK: Running

    mutating func run(steps: Int) {
        for _ in 0..<steps where failures.isEmpty { step() }
        guard failures.isEmpty else { return }
        quiesce()
    }

    private mutating func step() {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<40: askSomething()
        case 40..<42: for _ in 0..<30 { askSomething() }
        case 42..<90: goOn(atMost: .milliseconds(Int64.random(in: 0...400, using: &random)))
        case 90..<94: if weather == .foul { moods[random.pick(Self.all)] = random.pick(Mood.allCases) }
        case 94..<95: if weather == .foul { for upstream in Self.all { moods[upstream] = .silent } }
        case 95..<96: for upstream in Self.all { moods[upstream] = .good }
        case 96..<97: if weather == .foul { changeUpstreams() }
        case 97..<98: if weather == .foul { forget() }
        default: probeCache()
        }
        check()
    }

    private mutating func askSomething() {
        let group = UInt16(16 + Int.random(in: 0..<6, using: &random))
        let client = Resolver.Client(group: group, token: nextToken)
        nextToken += 1
        let question = Zone.question(Int.random(in: 0..<Zone.count, using: &random))
        waiting[client] = Waiting(question: question, asked: now)
        note("ask \(question.name) for \(group)")
        perform(resolver.ask(question, for: client, at: now))
    }

    private mutating func probeCache() {
        let index = Int.random(in: 0..<Zone.count, using: &random)
        guard let answer = resolver.cached(Zone.question(index), at: now) else { return }
        cached += 1
        if !Zone.agrees(answer, index) || answer.timeToLive == 0 { fail("the cache is wrong about \(index)") }
    }

    private mutating func changeUpstreams() {
        let list = Self.all.shuffled(using: &random).prefix(Int.random(in: 0...4, using: &random))
        note("upstreams \(list.map(\.description))")
        perform(resolver.setUpstreams(Array(list), at: now))
    }

    private mutating func forget() {
        let group = UInt16(16 + Int.random(in: 0..<6, using: &random))
        note("forget \(group)")
        forgotten += waiting.keys.filter { $0.group == group }.count
        waiting = waiting.filter { $0.key.group != group }
        perform(resolver.forget(group: group, at: now))
    }

    /// Lets time pass, with everything that happens on its way.
    private mutating func goOn(atMost span: Instant.Span) {
        let end = now + span
        while failures.isEmpty {
            let arrival = network.indices.min { network[$0].at < network[$1].at }
            let due = [arrival.map { network[$0].at }, resolver.nextDeadline].compactMap(\.self).min()
            guard let due, due <= end else { break }
            now = max(now, due)
            if let arrival, network[arrival].at <= now {
                let (_, exchange, delivery) = network.remove(at: arrival)
                deliver(delivery, exchange)
            } else {
                perform(resolver.tick(at: now))
                if let next = resolver.nextDeadline, next <= now { fail("due again at once") }
            }
            check()
        }
        now = end
    }

    /// Lets everything come to its end: nothing may be left over.
    private mutating func quiesce() {
        goOn(atMost: .seconds(10))
        guard failures.isEmpty else { return }
        if !waiting.isEmpty { fail("\(waiting.count) clients never got an answer") }
        if !open.isEmpty { fail("\(open.count) exchanges were never closed") }
        if !resolver.groups.isEmpty || !resolver.lookups.isEmpty || !resolver.round.isEmpty {
            fail("something is left over: \(resolver.groups) \(resolver.lookups)")
        }
        if resolver.nextDeadline != nil { fail("something is due for nobody") }
    }
}
