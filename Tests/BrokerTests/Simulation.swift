import Model
import Policy
import Ruleset
import TestSupport

@testable import Broker

/// The broker and a model of the kernel, played against each other by one seed.
struct Simulation {
    /// What goes wrong besides what happens in any order.
    enum Weather: CaseIterable {
        /// Nothing, and policies stay as they are: every refused packet is told of exactly once.
        case calm
        /// Reloads and cgroups that go. A packet that waits meanwhile may be told of under its old and its new identity.
        case fair
        /// Answers get lost, sockets are not found or taken for others.
        case foul
    }

    let weather: Weather
    var random: SplitMix
    var now = Instant(nanoseconds: 1_000_000_000_000)
    var broker: Broker
    var kernel: KernelModel
    var policies: PolicySet
    var settings: Broker.Settings
    var cgroupIDs: [UInt64] = Universe.paths.indices.map { UInt64(10 + $0) }
    var nextCgroup: UInt64 = 100
    /// The process that listens, by port and transport.
    let listeners: [Int]
    var flows: [Int: Flow] = [:]
    var nextFlow = 0
    /// Packets in the queues, by number.
    var waiting: [UInt32: Packet] = [:]
    var nextPacket: UInt32 = 1
    /// What the log still has to tell.
    var logged: [LoggedPacket] = []
    var lateSettles: [Window.Key] = []
    /// Grants as the actions told of them.
    var grants: [Int64: Grant] = [:]
    var failures: [String] = []
    var trace: [String] = []
    // What was counted.
    var refused: UInt64 = 0
    var told: UInt64 = 0
    var lost: UInt64 = 0
    var mistaken: UInt64 = 0
    var untold: UInt64 = 0
    /// Told of as denied, held or observed.
    var noted: UInt64 = 0
    /// Refused by the answer to another attempt of the same port, or with a connection that was refused before.
    var uncounted: UInt64 = 0
    /// Told of together with others.
    var together: UInt64 = 0
    var accepted = 0
    var reloads = 0
    /// Told of without being refused, by destination.
    var ledger: [Destination: Int64] = [:]

    init(seed: UInt64, weather: Weather) {
        self.weather = weather
        var random = SplitMix(state: seed)
        policies = Universe.policies(after: .empty, &random)
        settings = Universe.settings(&random)
        broker = Broker(settings: settings, policies: policies, cryptography: PlainCryptography())
        // In some of them a few refusals are a flood.
        if Bool.random(using: &random) { broker.refusalRate = RefusalRate(perSecond: 1, burst: 1, brake: .seconds(10)) }
        kernel = KernelModel(renewsTimeouts: Bool.random(using: &random))
        listeners = (0..<16).map { _ in Int.random(in: 0..<Universe.processes.count, using: &random) }
        self.random = random
        let layout = Layout(firstQueue: 8100, observesOnly: settings.observesOnly)
        kernel.apply(layout.constants + broker.elements(), at: now)
        check("start")
    }

    mutating func fail(_ text: String) {
        if failures.count < 5 { failures.append("\(text); before: \(trace.suffix(6).joined(separator: " | "))") }
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

    mutating func step() {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<22: openFlow()
        case 22..<36: send(again: true)
        case 36..<66: deliver()
        case 66..<74: tellLogged()
        case 74..<85: passTime()
        case 85..<89: if weather != .calm { reload() }
        case 89..<94: approve()
        case 94..<97: revoke()
        case 97..<98: if weather != .calm { loseCgroup() }
        case 98..<99: if weather != .calm { loseTable() }
        default: settleLate()
        }
        check("step")
    }

    /// Lets everything come to its end: nothing may be left over.
    mutating func quiesce() {
        for _ in 0..<200 where failures.isEmpty {
            while !waiting.values.allSatisfy(\.isDelivered), failures.isEmpty { deliver() }
            while !lateSettles.isEmpty { settleLate() }
            tellLogged()
            now = now + .seconds(5)
            perform(broker.tick(at: now), of: nil)
            check("end")
        }
        guard failures.isEmpty else { return }
        if !waiting.isEmpty { fail("\(waiting.count) packets were never answered") }
        if broker.nextDeadline.map({ $0 <= now }) ?? false { fail("something is due and never done") }
        for set in ["denied", "knocks", "seen", "lately", "others", "answers", "arrivals"] {
            for suffix in ["4", "6"] where !kernel.keys(set + suffix, at: now).isEmpty {
                fail("\(set)\(suffix) still has \(kernel.keys(set + suffix, at: now).count) elements")
            }
        }
        for set in ["floods", "sieges"] where !kernel.keys(set, at: now).isEmpty { fail("\(set) still has elements") }
        let counted = broker.requestSummaries.reduce(UInt64(0)) { $0 + $1.count }
        if counted != noted { fail("\(noted) requests were told of, and \(counted) are in the list") }
        if told + uncounted + (weather == .calm ? 0 : untold) < refused {
            fail(
                "\(refused) packets were refused, \(told) told of (\(untold) dropped after they were let through), \(ledger.filter { $0.value != 0 })"
            )
        }
        if weather == .calm, told > refused + mistaken { fail("\(refused) packets were refused and \(told) told of") }
    }
}
