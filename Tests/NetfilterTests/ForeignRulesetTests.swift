import Testing
import Wire

@testable import Netfilter

/// What is said of other tools' chains.
@Suite("Foreign rulesets")
struct ForeignRulesetTests {
    private func chain(
        family: UInt8 = 2,
        type: String = "filter",
        hook: UInt32? = 3,
        priority: Int32 = -200,
        effects: RuleEffects = [],
    ) throws -> ForeignRuleset.Chain {
        var place: RulesetMessage.Hook?
        if let hook {
            place = RulesetMessage.Hook()
            place?.number = hook
            place?.priority = priority
        }
        return ForeignRuleset.Chain(
            family: family,
            table: "foo",
            name: "out",
            handle: 1,
            uses: 1,
            hook: place,
            type: type,
            effects: effects,
        )
    }

    @Test("a chain that comes first is named with its place, and breaks nothing")
    func namesPlaces() throws {
        let found = try chain().findings
        #expect(
            found.map(\.text) == [
                "table ip foo, chain out: type filter hook output priority -200, accepts before egressd; nothing passes for it"
            ]
        )
        #expect(found.map(\.table) == ["ip foo"])
        #expect(found.map(\.isHarmful) == [false])
        #expect(try chain(family: 1, priority: 0).findings.count == 1)
    }

    @Test("what comes after egressd, or elsewhere, is nothing to tell")
    func leavesOthersAlone() throws {
        #expect(try chain(priority: 1).findings.isEmpty)
        #expect(try chain(hook: 0).findings.isEmpty)
        #expect(try chain(hook: 4).findings.isEmpty)
        #expect(try chain(type: "nat", hook: 0, priority: -100).findings.isEmpty)
        #expect(try chain(hook: nil).findings.isEmpty)
        #expect(try chain(family: 5, hook: 1).findings.isEmpty)
        #expect(try chain(family: 7).findings.isEmpty)
        #expect(try chain(family: 7, effects: .setsConnectionMark).findings.isEmpty)
    }

    @Test("a translation tells itself where it is, not in the chains that services fill")
    func knowsTranslations() throws {
        #expect(try chain(hook: nil, effects: .translates).findings.isEmpty)
        #expect(try chain(hook: 0, effects: .translates).findings.isEmpty)
        #expect(try chain(type: "nat", hook: 3, priority: -100, effects: .translates).findings.count == 2)
    }

    @Test(
        "what breaks connections or takes them out of sight is harmful wherever it stands",
        arguments: [RuleEffects.setsConnectionMark, .untracks, .diverts, .offloads, .queues],
    )
    func knowsHarm(_ effects: RuleEffects) throws {
        for family: UInt8 in [1, 2, 5, 10] {
            #expect(try chain(family: family, hook: nil, effects: effects).findings.map(\.isHarmful) == [true])
        }
    }
}
