import Model
import Policy
import TestSupport
import Testing

@testable import Ruleset

/// The kernel's boxes against the evaluator: for every destination the same answer.
@Suite("Boxes of a workload")
struct BoxWorkloadTests {
    private func workload(allow: [Rule] = [], deny: [Rule] = [], listen: [ListenRule] = []) throws -> Workload {
        Workload(name: "test", cgroup: try CgroupGlob("test.slice"), allow: allow, deny: deny, listen: listen)
    }

    private func rule(
        _ name: String,
        _ targets: [Target],
        _ ports: [PortSpec] = [.any],
        _ application: ApplicationProtocol = .any,
        executable: String? = nil,
    ) -> Rule {
        Rule(name: name, targets: targets, ports: ports, application: application, executable: executable)
    }

    private func prefix(_ text: String) throws -> Target {
        let parts = text.split(separator: "/")
        let address = try #require(IPAddress(String(parts[0])))
        let length = parts.count == 2 ? try #require(Int(parts[1])) : address.width
        return .prefix(try #require(AddressPrefix(address: address, length: length)))
    }

    private func allows(_ workload: Workload, _ point: BoxPoint) -> Bool {
        let destination = Destination(address: point.address, port: point.port, transport: point.transport)
        let question = Question(destination: destination, executable: nil, executableIsCertain: false)
        return workload.decide(question).isPlain
    }

    /// The points next to every bound of what the workload names and of what came out.
    private func points(of workload: Workload) -> [BoxPoint] {
        let named = (workload.allow + workload.deny).flatMap(Boxes.boxes(of:))
        let special = SpecialAddresses.metadata.map { Box(AddressPrefix($0), transport: .tcp, ports: .all) }
        return (named + special + Boxes.outbound(of: workload)).flatMap(BoxPoint.around)
            // The reader makes these IPv4 addresses before anybody asks the evaluator.
            .filter { $0.address.isV4 || $0.address.bits >> 32 != 0xffff }
    }

    private func randomRule(_ index: Int, _ random: inout SplitMix, isDeny: Bool) throws -> Rule {
        let texts = [
            "10.0.0.0/8", "10.20.0.0/16", "10.20.7.0/24", "10.20.7.1", "0.0.0.0/0", "255.255.255.255",
            "169.254.169.254", "169.254.0.0/16", "168.63.129.16", "168.63.129.16/31", "::/0", "fd00:ec2::254",
            "fd00:ec2::/32", "2001:db8::/32", "2001:db8::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ]
        let ports = [
            PortSpec.any, PortSpec(transport: .tcp, range: PortRange(443)),
            PortSpec(transport: .tcp, range: PortRange(444)), PortSpec(transport: .udp, range: PortRange(443)),
            PortSpec(transport: nil, range: PortRange(.max)), PortSpec(transport: .udp, range: .all),
            PortSpec(transport: .tcp, range: try #require(PortRange(100, 9000))),
        ]
        var targets = try texts.shuffled(using: &random).prefix(Int.random(in: 1...3, using: &random)).map(prefix)
        if Int.random(in: 0..<12, using: &random) == 0 { targets.append(.any) }
        let roll = isDeny ? 9 : Int.random(in: 0..<10, using: &random)
        return rule(
            "\(isDeny ? "deny" : "allow")-\(index)",
            targets,
            Array(ports.shuffled(using: &random).prefix(Int.random(in: 1...3, using: &random))),
            roll == 0 ? .tls : .any,
            executable: roll == 1 ? "/usr/bin/true" : nil,
        )
    }

    @Test("hold exactly what the evaluator allows by address and port")
    func agreesWithEvaluator() throws {
        let seed = SplitMix.seed()
        for round in 0..<120 {
            var random = SplitMix(state: seed &+ UInt64(round))
            let workload = try workload(
                allow: (0..<Int.random(in: 1...5, using: &random)).map { try randomRule($0, &random, isDeny: false) },
                deny: (0..<Int.random(in: 0...2, using: &random)).map { try randomRule($0, &random, isDeny: true) },
            )
            let boxes = Boxes.outbound(of: workload)
            for point in points(of: workload) {
                let holders = boxes.filter(point.isIn).count
                guard holders != (allows(workload, point) ? 1 : 0) else { continue }
                Issue.record("EGRESSD_SEED=\(seed) round \(round): \(point) is in \(holders) boxes; \(workload)")
                return
            }
        }
    }

    @Test("metadata addresses are out unless a rule names exactly them")
    func cutsMetadata() throws {
        let everything = try workload(allow: [rule("all", [.any])])
        let boxes = Boxes.outbound(of: everything)
        for address in SpecialAddresses.metadata {
            #expect(!boxes.contains { $0.contains(address, port: 80, transport: .tcp) })
        }
        let named = try workload(
            allow: [
                rule("wide", [try prefix("169.254.0.0/16")]),
                rule("exact", [try prefix("169.254.169.254")], [PortSpec(transport: .tcp, range: PortRange(80))]),
            ],
        )
        #expect(
            Boxes.outbound(of: named).contains { $0.contains(SpecialAddresses.metadata[0], port: 80, transport: .tcp) }
        )
    }

    @Test("v4-mapped addresses are asked about")
    func cutsMapped() throws {
        let everything = try workload(
            allow: [rule("all", [.any])],
            listen: [ListenRule(name: "all", from: [.allV4, .allV6], ports: [.any])],
        )
        for boxes in [Boxes.outbound(of: everything), Boxes.inbound(of: everything)] {
            #expect(boxes.contains { $0.contains(.v6(0xfffe_ffff_ffff), port: 1, transport: .udp) })
            #expect(boxes.contains { $0.contains(.v6(0x1_0000_0000_0000), port: 1, transport: .udp) })
            #expect(!boxes.contains { $0.contains(.v6(0xffff_0000_0000), port: 1, transport: .udp) })
            #expect(!boxes.contains { $0.contains(.v6(0xffff_ffff_ffff), port: 1, transport: .tcp) })
        }
    }

    @Test("listen rules become boxes of peers")
    func cutsListeners() throws {
        guard case .prefix(let peers) = try prefix("10.30.0.0/16") else { return }
        let rules = [
            ListenRule(name: "peers", from: [peers], ports: [PortSpec(transport: .tcp, range: PortRange(29500))]),
            ListenRule(name: "same", from: [peers], ports: [PortSpec(transport: .tcp, range: PortRange(29501))]),
        ]
        let boxes = Boxes.inbound(of: try workload(listen: rules))
        #expect(boxes.map(\.description) == ["10.30.0.0-10.30.255.255:29500-29501/tcp"])
    }

    @Test("a workload over its budget names the rules that break it")
    func namesExpensiveRules() throws {
        let hosts = { (count: UInt32, step: UInt32) in
            (0..<count).map { Target.prefix(AddressPrefix(.v4(0x0a00_0000 + $0 * step))) }
        }
        let tcp = [PortSpec(transport: .tcp, range: PortRange(443))]
        let small = rule("small", hosts(100, 2), tcp)
        let big = rule("big", hosts(5000, 4), [PortSpec(transport: .tcp, range: PortRange(80))])
        let within = try workload(allow: [small])
        #expect(Boxes.overBudget(of: within).isEmpty)
        let over = try workload(allow: [small, big])
        #expect(Boxes.overBudget(of: over) == [Boxes.Share(rule: "big", boxes: 5000)])
        // Denies that cut one allow into pieces make it cost what the pieces do.
        let frame = rule("frame", [try prefix("10.0.0.0/8")], tcp)
        let cut = try workload(allow: [frame], deny: [rule("holes", hosts(5000, 4))])
        #expect(Boxes.overBudget(of: cut).map(\.rule) == ["frame"])
        #expect(Boxes.overBudget(of: within, budget: 99).map(\.boxes) == [100])
    }
}
