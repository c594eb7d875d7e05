import Model
import Policy
import Ruleset
import TestSupport
import Testing

@testable import Broker

/// A broker with one or two workloads, and short words for what happens to it.
struct Scenario {
    var broker: Broker
    var now = Instant(nanoseconds: 5_000_000_000_000)
    /// The number of the last packet that was asked about.
    private(set) var packet: UInt32 = 0

    /// Where the workloads' processes run, and others.
    static let cgroups: [String: UInt64] = ["/train": 10, "/other": 11, "/host": 12, "/egressd": 13]

    init(_ workloads: [Workload], settings: Broker.Settings = Broker.Settings(unidentified: .deny)) throws {
        broker = Broker(settings: settings, policies: try PolicySet(workloads), cryptography: PlainCryptography())
    }

    /// A workload `train` in `/train`; `allow` and `deny` are `NAME ADDRESS PORT`.
    static func workload(
        _ name: String = "train",
        allow: [String] = [],
        deny: [String] = [],
        listen: [String] = [],
        unknown: UnknownMode = .deny,
        user: UInt32? = nil,
        executable: String? = nil,
    ) throws -> Workload {
        func rule(_ text: String) throws -> Rule {
            let (name, prefix, port) = try parts(text)
            return Rule(name: name, targets: [.prefix(prefix)], ports: [port], executable: nil)
        }
        return Workload(
            name: name,
            cgroup: try CgroupGlob(name),
            user: user,
            allow: try allow.map { text in
                var rule = try rule(text)
                rule.executable = executable
                return rule
            },
            deny: try deny.map(rule),
            listen: try listen.map { text in
                let (name, prefix, port) = try parts(text)
                return ListenRule(name: name, from: [prefix], ports: [port])
            },
            unknown: unknown,
        )
    }

    private static func parts(_ text: String) throws -> (String, AddressPrefix, PortSpec) {
        let words = text.split(separator: " ").map(String.init)
        let slash = words[1].split(separator: "/").map(String.init)
        let address = try #require(IPAddress(slash[0]))
        let prefix =
            slash.count == 1 ? AddressPrefix(address) : AddressPrefix(address: address, length: Int(slash[1]) ?? -1)
        return (words[0], try #require(prefix), try PortSpec(words[2]))
    }

    static func destination(_ address: String, _ port: UInt16, _ transport: Transport = .tcp) throws -> Destination {
        Destination(address: try #require(IPAddress(address)), port: port, transport: transport)
    }

    static func facts(_ path: String, uid: UInt32 = 1001, command: [String] = ["curl"], isCertain: Bool = true) -> Facts
    {
        let executable = command.first.map { "/usr/bin/\($0)" }
        let process = ProcessRecord(pid: 7, executable: executable, command: command, uid: uid, isCertain: isCertain)
        return Facts(cgroup: cgroups[path] ?? 99, path: path, uid: uid, process: process)
    }

    /// A question about a packet to `destination`; the actions without those that only make the cgroup known.
    mutating func ask(
        _ destination: Destination,
        _ kind: Layout.Question = .outbound,
        port: UInt16 = 40_000,
        from sender: Facts? = Scenario.facts("/train"),
        to receiver: Facts? = nil,
        opens: Bool = true,
    ) -> [BrokerAction] {
        let question = PacketQuestion(
            kind: kind,
            reference: nextReference(kind),
            destination: destination,
            otherPort: port,
            source: .v4(0x7f00_0001),
            opensFlow: opens,
            sender: sender,
            receiver: receiver,
            uid: sender?.uid,
            arrived: now,
        )
        return broker.handle(question, at: now)
    }

    /// What the next packet is called that waits with this question.
    mutating func nextReference(_ kind: Layout.Question) -> PacketReference {
        packet += 1
        return PacketReference(queue: 8100 + kind.rawValue, packet: packet)
    }

    mutating func pass(_ span: Instant.Span) -> [BrokerAction] {
        now = now + span
        return broker.tick(at: now)
    }

    mutating func load(_ workloads: [Workload], settings: Broker.Settings? = nil) throws -> [BrokerAction] {
        broker.load(try PolicySet(workloads), settings ?? broker.settings, at: now)
    }

    mutating func approve(
        _ request: Int64,
        seconds: Int64 = 60,
        ports: Set<ServicePort>? = nil,
        application: ApplicationProtocol? = nil,
    ) -> Result<(Grant, [BrokerAction]), GrantError> {
        broker.approve(
            request: request,
            for: .seconds(seconds),
            ports: ports,
            application: application,
            reason: "a reason",
            actor: "root",
            at: now,
        )
    }
}

extension SetElement {
    /// The state of the stamp that is the broker's answer.
    var state: Stamp.State? {
        if case .mark(let mark) = data { Stamp.State(rawValue: UInt8(truncatingIfNeeded: mark)) } else { nil }
    }
}

extension [BrokerAction] {
    var events: [Event] { compactMap { if case .record(let event) = $0 { event } else { nil } } }
    var answers: [BrokerAction.Answer] { compactMap { if case .answer(_, let answer) = $0 { answer } else { nil } } }
    var settled: [Window.Key] { compactMap { if case .settle(let key) = $0 { key } else { nil } } }
    var cut: [Destination] { compactMap { if case .cut(_, _, let destination) = $0 { destination } else { nil } } }
    var rechecked: [Identity] { compactMap { if case .recheck(let identity) = $0 { identity } else { nil } } }
    var changes: [ElementChange] {
        flatMap { action -> [ElementChange] in if case .change(let changes) = action { changes } else { [] } }
    }

    /// What is added to, or removed from, the sets whose name starts so.
    func added(_ set: String) -> [SetElement] { changes.filter { $0.set.hasPrefix(set) }.flatMap(\.add) }
    func removed(_ set: String) -> [SetElement] { changes.filter { $0.set.hasPrefix(set) }.flatMap(\.remove) }
}
