import Glibc
import Policy
import PolicyFiles
import Testing

@testable import Ruleset

/// Every folder of `Fixtures`: the elements that its policy compiles to, and of `00-table` the whole table.
///
/// `EGRESSD_REWRITE_GOLDEN=1` writes the expected texts anew.
struct GoldenTests {
    static let names = GoldenFolder.names
    static let identity = Identity(number: 16)

    @Test(arguments: names)
    func compiles(_ name: String) throws {
        let folder = GoldenFolder(name: name)
        let text = try Self.text(folder, isWhole: name.hasPrefix("00-"), queueReplacement: nil)
        if unsafe getenv("EGRESSD_REWRITE_GOLDEN") != nil { folder.write(text) }
        let golden = try #require(folder.golden, "no golden.nft; run with EGRESSD_REWRITE_GOLDEN=1")
        #expect(text == golden)
    }

    @Test func thereAreEnough() { #expect(Self.names.count >= 14) }

    /// No two elements of a map meet, and none of what the evaluator denies is in one.
    @Test(arguments: names)
    func intervalsAreApart(_ name: String) throws {
        let workload = try GoldenFolder(name: name).workload()
        for boxes in [Boxes.outbound(of: workload), Boxes.inbound(of: workload)] {
            for (index, box) in boxes.enumerated() {
                for other in boxes[(index + 1)...] { #expect(!box.intersects(other), "\(box) and \(other)") }
            }
        }
    }

    static func text(_ folder: GoldenFolder, isWhole: Bool, queueReplacement: String?) throws -> String {
        let assignment = Assignment(identity: identity, generation: 1)
        let elements = Elements.assignment(assignment) + Elements.policy(of: try folder.workload(), identity: identity)
        let layout = Layout(firstQueue: 8100, observesOnly: false)
        let writer = NftText(queueReplacement: queueReplacement)
        if isWhole { return writer.table(layout, elements: elements) }
        // Only what the policy makes: what is the same in every table is in the first folder.
        let sets = Dictionary(grouping: elements, by: \.set).mapValues { $0.flatMap(\.add) }
        return layout.sets.compactMap { set in sets[set.name].map { writer.set(set, $0) } }.joined()
    }

    /// `nft -c` takes every text, in a network namespace of its own.
    ///
    /// Root without the right to make one fails; without root or without nft there is nothing to try.
    @Test(.enabled(if: getuid() == 0 && Command.exists("/usr/sbin/nft"), "needs root and nft"), arguments: names)
    func nftTakesIt(_ name: String) throws {
        let folder = GoldenFolder(name: name)
        // Kernels without CONFIG_NFT_QUEUE refuse `queue` in a check too.
        let queue = try Command.check("table inet t { chain c { queue to 1\n } }\n").status == 0
        let text = try Self.text(folder, isWhole: true, queueReplacement: queue ? nil : "drop")
        let result = try Command.check(text)
        #expect(result.status == 0, "\(result.output)")
    }

    /// The check above can say no.
    @Test(.enabled(if: getuid() == 0 && Command.exists("/usr/sbin/nft"), "needs root and nft"))
    func nftRefusesNonsense() throws {
        #expect(try Command.check("table inet t { set s { type nothing\n } }\n").status != 0)
    }
}
