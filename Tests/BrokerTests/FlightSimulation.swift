import Model
import Policy
import Ruleset
import TestSupport

@testable import Broker

/// The first flights of a few clients, under reloads, approvals, ends and time in any order, played by one seed.
///
/// Every connection has a port of its own and knows what it really says: nothing of it may pass that its policy would not let
/// pass, every packet is answered once, and every first flight is told of once.
struct FlightSimulation {
    /// A connection with both its ends, and with what the kernel keeps of it.
    struct Connection {
        let client: Client
        let said: Said
        var flow: Flow
        /// The pieces of the stream that are still to be sent, in the order in which they are.
        var pieces: [Range<Int>] = []
        var isEstablished = false
        /// The program has its socket still.
        var isAlive = true
        /// Its first flight was judged and may pass, or it needed none.
        var isCleared = false
    }

    /// What a client says, and what that is.
    struct Said {
        let bytes: [UInt8]
        var spoken: ApplicationProtocol?
        var serverName: DomainName?
    }

    /// A packet in a queue.
    struct Waiting {
        let connection: Int
        let packet: WirePacket
        let kind: Layout.Question
        /// The mark of a connection that is not confirmed.
        let mark: UInt32
        let rounds: Int
        var isDelivered = false
    }

    var random: SplitMix
    var now = Instant(nanoseconds: 1_000_000_000_000)
    var broker: Broker
    var kernel: KernelModel
    var policies: PolicySet
    var settings: Broker.Settings
    var connections: [Int: Connection] = [:]
    var nextPort: UInt16 = 20_000
    var waiting: [UInt32: Waiting] = [:]
    var nextPacket: UInt32 = 1
    var grants: [Int64: Grant] = [:]
    var failures: [String] = []
    var trace: [String] = []
    /// How many first flights began to be awaited, and how many events tell of.
    var begun: UInt64 = 0
    var told: UInt64 = 0
    var cleared = 0
    var denied = 0

    init(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        policies = try Self.policies(&random)
        settings = Self.settings(&random)
        broker = Broker(settings: settings, policies: policies, cryptography: PlainCryptography())
        kernel = KernelModel(renewsTimeouts: Bool.random(using: &random))
        self.random = random
        kernel.apply(Layout(firstQueue: 8100, observesOnly: false).constants + broker.elements(), at: now)
    }

    mutating func fail(_ text: String) {
        if failures.count < 3 { failures.append("\(text); before: \(trace.suffix(8).joined(separator: " | "))") }
    }

    mutating func note(_ text: String) {
        trace.append(text)
        if trace.count > 64 { trace.removeFirst(32) }
    }

    // MARK: Running

    mutating func run(steps: Int) throws {
        for _ in 0..<steps where failures.isEmpty {
            try step()
            for error in kernel.errors { fail(error) }
        }
        for _ in 0..<20 where failures.isEmpty { try settle() }
        guard failures.isEmpty else { return }
        if !waiting.isEmpty { fail("\(waiting.count) packets were never answered") }
        if !broker.flows.keys(where: { _ in true }).isEmpty { fail("flights are awaited for ever") }
        if begun != told { fail("\(begun) first flights, \(told) told of") }
    }

    private mutating func step() throws {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<18: try open()
        case 18..<45: try send()
        case 45..<49: try greet()
        case 49..<52: try end()
        case 52..<84: try deliver()
        case 84..<92: try passTime()
        case 92..<94: try reload()
        case 94..<96: try learnName()
        case 96..<98: approve()
        default: revoke()
        }
    }

    /// Lets everything come to its end.
    private mutating func settle() throws {
        while waiting.values.contains(where: { !$0.isDelivered }), failures.isEmpty { try deliver() }
        now = now + .seconds(5)
        perform(broker.tick(at: now))
        for error in kernel.errors { fail(error) }
    }

    // MARK: What there is

    static func policies(_ random: inout SplitMix) throws -> PolicySet {
        let rules = [
            "web packages.example.org 443 tls", "wild *.example.org 443 tls", "quic packages.example.org 443/udp quic",
            "git packages.example.org 22 ssh", "plain packages.example.org 80 http", "open files.example.org any any",
            "prefix 93.184.216.0/24 443 tls", "host 93.184.216.35 443", "http any 80 http",
            "six 2606:2800::/32 any ssh",
        ]
        let workloads = try ["train", "other"].filter { _ in random.chance(85) }.map { name in
            let count = Int.random(in: 0...4, using: &random)
            return try Scenario.inspected(
                Array(rules.shuffled(using: &random).prefix(count)),
                name,
                deny: random.chance(15) ? ["no 93.184.216.35 any"] : [],
                unknown: random.pick([.deny, .deny, .deny, .observe, .hold(.seconds(4))]),
            )
        }
        return try PolicySet(workloads)
    }

    static func settings(_ random: inout SplitMix) -> Broker.Settings {
        Broker.Settings(observesOnly: random.chance(8), unidentified: random.pick([.deny, .observe, .allow]))
    }

    static func said(_ transport: Transport, _ random: inout SplitMix) throws -> Said {
        let name = random.pick(["packages.example.org", "files.example.org", "other.test"])
        let domain = try DomainName(name)
        if transport == .udp {
            return random.chance(80)
                ? Said(bytes: FirstBytes.quic(name), spoken: .quic, serverName: domain)
                : Said(bytes: [UInt8](repeating: 0x41, count: 60))
        }
        switch Int.random(in: 0..<8, using: &random) {
        case 0..<4: return Said(bytes: FirstBytes.tls(name), spoken: .tls, serverName: domain)
        case 4: return Said(bytes: FirstBytes.ssh, spoken: .ssh)
        case 5: return Said(bytes: FirstBytes.http(name), spoken: .http, serverName: domain)
        case 6: return Said(bytes: FirstBytes.stratum)
        default: return Said(bytes: FirstBytes.tls(nil), spoken: .tls)
        }
    }
}
