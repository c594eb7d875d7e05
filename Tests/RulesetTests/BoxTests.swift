import Model
import TestSupport
import Testing

@testable import Ruleset

/// What the kernel's maps hold must be what the rules say: no more, no less, and never twice.
@Suite("Boxes")
struct BoxTests {
    /// What the cut must hold, by asking every box.
    private func isAllowed(_ point: BoxPoint, _ allow: [Box], _ deny: [Box]) -> Bool {
        allow.contains(where: point.isIn) && !deny.contains(where: point.isIn)
    }

    private func firstOverlap(_ boxes: [Box]) -> (Box, Box)? {
        for (index, box) in boxes.enumerated() {
            if let other = boxes[(index + 1)...].first(where: box.intersects) { return (box, other) }
        }
        return nil
    }

    private func check(_ allow: [Box], _ deny: [Box], _ points: [BoxPoint], _ context: Comment) {
        let cut = Boxes.cut(allow: allow, deny: deny)
        #expect(cut == cut.sorted(), context)
        if let (box, other) = firstOverlap(cut) { Issue.record("\(box) meets \(other); \(context)") }
        for point in points + (allow + deny + cut).flatMap(BoxPoint.around) {
            let holders = cut.filter(point.isIn).count
            guard holders != (isAllowed(point, allow, deny) ? 1 : 0) else { continue }
            Issue.record("\(point) is in \(holders) boxes; \(context)")
            return
        }
    }

    @Test("hold what is allowed and not denied, once", arguments: BoxGenerator.Shape.allCases)
    func agreesWithBruteForce(_ shape: BoxGenerator.Shape) {
        let seed = SplitMix.seed()
        for round in 0..<150 {
            var generator = BoxGenerator(seed: seed &+ UInt64(round), shape: shape)
            let allow = generator.boxes(upTo: 12)
            let deny = generator.boxes(upTo: 6)
            let points = (0..<60).map { _ in generator.point() }
            check(allow, deny, points, "EGRESSD_SEED=\(seed) round \(round): allow \(allow) deny \(deny)")
        }
    }

    @Test("do not depend on the order of the rules", arguments: BoxGenerator.Shape.allCases)
    func ignoresOrder(_ shape: BoxGenerator.Shape) {
        let seed = SplitMix.seed()
        for round in 0..<60 {
            var generator = BoxGenerator(seed: seed &+ UInt64(round), shape: shape)
            let allow = generator.boxes(upTo: 20)
            let deny = generator.boxes(upTo: 10)
            let cut = Boxes.cut(allow: allow, deny: deny)
            let shuffled = Boxes.cut(
                allow: (allow + allow.prefix(2)).shuffled(using: &generator.random),
                deny: deny.shuffled(using: &generator.random),
            )
            #expect(cut == shuffled, "EGRESSD_SEED=\(seed) round \(round)")
        }
    }

    @Test("cutting again changes nothing")
    func isIdempotent() {
        let seed = SplitMix.seed()
        for round in 0..<100 {
            var generator = BoxGenerator(seed: seed &+ UInt64(round), shape: .nested)
            let cut = Boxes.cut(allow: generator.boxes(upTo: 12), deny: generator.boxes(upTo: 6))
            let again = Boxes.cut(allow: cut, deny: [])
            #expect(again.count <= cut.count, "EGRESSD_SEED=\(seed) round \(round)")
            #expect(Boxes.cut(allow: cut, deny: again).isEmpty, "EGRESSD_SEED=\(seed) round \(round)")
            #expect(Boxes.cut(allow: again, deny: cut).isEmpty, "EGRESSD_SEED=\(seed) round \(round)")
        }
    }

    @Test("the last address and the last port have no successor", arguments: ["0.0.0.0/0", "::/0"])
    func reachesTheTop(_ text: String) throws {
        let all = try boxOf(text, 0, .max)
        #expect(Boxes.cut(allow: [all], deny: []) == [all])
        #expect(Boxes.cut(allow: [all], deny: [all]) == [])
        let top = try #require(
            Box(lower: all.upper, upper: all.upper, transport: .tcp, ports: PortRange(.max)),
        )
        check([all], [top], [], "the very last point is denied")
        check([top], [], [], "only the very last point is allowed")
        check([all, top], [], [], "the very last point is allowed twice")
        #expect(Boxes.cut(allow: [all], deny: [top]).count == 2)
    }

    @Test("a host with one more port costs one box")
    func keepsWhatGoesOn() throws {
        let network = try boxOf("10.0.0.0/8", 443, 443)
        let host = try boxOf("10.1.2.3", 22, 22)
        #expect(Boxes.cut(allow: [host, network], deny: []) == [network, host])
        // By addresses first the neighbouring ports would melt together at the host, and cost three.
        let neighbour = try boxOf("10.1.2.3", 444, 444)
        #expect(Boxes.cut(allow: [neighbour, network], deny: []) == [network, neighbour])
    }

    @Test("equal neighbours become one")
    func joinsNeighbours() throws {
        let halves = [try boxOf("10.0.0.0/9", 1, 9), try boxOf("10.128.0.0/9", 1, 9), try boxOf("10.0.0.0/8", 10, 20)]
        #expect(Boxes.cut(allow: halves, deny: []) == [try boxOf("10.0.0.0/8", 1, 20)])
    }

    @Test("transports and families are apart")
    func keepsPlanesApart() throws {
        let v4 = try boxOf("0.0.0.0/0", 0, .max)
        let v6 = try boxOf("::/0", 0, .max)
        let udp = try #require(Box(lower: v4.lower, upper: v4.upper, transport: .udp, ports: .all))
        #expect(Boxes.cut(allow: [udp, v6, v4], deny: []) == [v4, v6, udp])
        #expect(Boxes.cut(allow: [udp, v6, v4], deny: [v4]) == [v6, udp])
        #expect(Boxes.cut(allow: [], deny: [v4]) == [])
    }

    @Test("a deny inside an allow leaves a frame")
    func subtracts() throws {
        let boxes = Boxes.cut(
            allow: [try boxOf("10.20.0.0/16", 443, 443)],
            deny: [try boxOf("10.20.7.0/24", 0, .max)],
        )
        #expect(boxes.map(\.description) == ["10.20.0.0-10.20.6.255:443/tcp", "10.20.8.0-10.20.255.255:443/tcp"])
    }

    @Test("thousands of prefixes stay thousands of boxes")
    func staysLinear() throws {
        let ports: [UInt16] = [22, 80, 443, 2049]
        let hosts = (0..<4000).map { AddressPrefix(.v4(0x0a00_0000 + $0 * 512)) }
        let allow = hosts.flatMap { host in ports.map { Box(host, transport: .tcp, ports: PortRange($0)) } }
        #expect(Boxes.cut(allow: allow, deny: []).count == allow.count)
        let around = try boxOf("10.0.0.0/8", 443, 443)
        #expect(Boxes.cut(allow: allow + [around], deny: []).count == 3 * hosts.count + 1)
    }
}

/// A TCP box of a prefix's text.
private func boxOf(_ text: String, _ lower: UInt16, _ upper: UInt16) throws -> Box {
    let parts = text.split(separator: "/")
    let address = try #require(IPAddress(String(parts[0])))
    let length = parts.count == 2 ? try #require(Int(parts[1])) : address.width
    let prefix = try #require(AddressPrefix(address: address, length: length))
    return Box(prefix, transport: .tcp, ports: try #require(PortRange(lower, upper)))
}
