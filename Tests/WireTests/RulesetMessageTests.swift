import TestSupport
import Testing

@testable import Wire

/// What the reader says of nf_tables' messages.
@Suite("Ruleset messages")
struct RulesetMessageTests {
    private typealias Bytes = RulesetBytes

    private func read(_ type: UInt16, _ bytes: [UInt8]) throws -> RulesetMessage {
        try #require(try bytes.rulesetMessage(0x0a00 | type))
    }

    @Test("a base chain and its place")
    func readsChains() throws {
        let chain = try read(3, Bytes.chain)
        #expect(chain.subject == .chain)
        #expect(!chain.isDeletion)
        #expect((chain.family, chain.table, chain.name) == (1, "t", "c"))
        #expect((chain.handle, chain.uses, chain.chainType) == (7, 2, "filter"))
        #expect(chain.hook?.number == 3)
        #expect(chain.hook?.priority == -200)
        #expect(chain.hook?.device == nil)
        #expect(try read(5, Bytes.chain).isDeletion)
    }

    @Test("a netdev chain's device, alone or first of several", arguments: [false, true])
    func readsDevices(_ isList: Bool) throws {
        let name = Bytes.text("eth0")
        let device =
            isList
            ? Messages.attribute(0x8004, Messages.attribute(1, name) + Messages.attribute(1, Bytes.text("eth1")))
            : Messages.attribute(3, name)
        let bytes = Bytes.payload(
            family: 5,
            Messages.attribute(1, Bytes.text("t")),
            Messages.attribute(0x8004, Messages.attribute(1, hex("00000001")) + device),
        )
        #expect(try read(3, bytes).hook?.device == "eth0")
    }

    @Test("who ended a transaction")
    func readsGenerations() throws {
        let generation = try read(15, Bytes.generation)
        #expect(generation.subject == .generation)
        #expect((generation.generation, generation.process, generation.processName) == (42, 4711, "nft"))
    }

    @Test("what a rule does that concerns others")
    func readsEffects() throws {
        #expect(try read(6, Bytes.marks).effects == .setsConnectionMark)
        // nft add rule inet t c ct mark 0x1 accept
        let matches = Bytes.rule(
            Bytes.expression("ct", Messages.attribute(1, hex("00000001")) + Messages.attribute(2, hex("00000003"))),
        )
        #expect(try read(6, matches).effects == [])
        // nft add rule inet t c ct label set 1
        let labels = Bytes.rule(
            Bytes.expression("ct", Messages.attribute(2, hex("0000000b")) + Messages.attribute(4, hex("00000001"))),
        )
        #expect(try read(6, labels).effects == [])
        for (number, effects) in [("00000000", RuleEffects()), ("00000001", .translates)] {
            let nat = Bytes.rule(Bytes.expression("nat", Messages.attribute(1, hex(number))))
            #expect(try read(6, nat).effects == effects)
        }
        for (name, effects) in [
            ("CONNMARK", RuleEffects.setsConnectionMark), ("NOTRACK", .untracks), ("DNAT", .translates),
            ("TEE", .diverts), ("NFQUEUE", .queues), ("LOG", []),
        ] {
            let target = Bytes.rule(Bytes.expression("target", Messages.attribute(1, Bytes.text(name))))
            #expect(try read(6, target).effects == effects, "\(name)")
        }
        let several = Bytes.rule(
            Messages.attribute(0x8001, Messages.attribute(1, Bytes.text("notrack"))),
            Bytes.expression("dup", []),
            Bytes.expression("redir", []),
            Bytes.expression("flow_offload", []),
            Bytes.expression("queue", []),
        )
        #expect(try read(6, several).effects == [.untracks, .diverts, .translates, .offloads, .queues])
    }

    @Test("names are bounded and printable")
    func boundsNames() throws {
        let long = [UInt8](repeating: UInt8(ascii: "a"), count: 5000)
        let table = try read(0, Bytes.payload(Messages.attribute(1, long)))
        #expect(table.table.utf8.count == 256)
        let odd = try read(0, Bytes.payload(Messages.attribute(1, [0x61, 0x0a, 0x1b, 0xff, 0x62, 0, 0x63])))
        #expect(odd.table == "a???b")
    }

    @Test("what is no object's is nothing, what has no table is refused")
    func refusesOthers() throws {
        #expect(try Bytes.chain.rulesetMessage(0x0300) == nil)
        #expect(try Bytes.chain.rulesetMessage(0x0a11) == nil)
        #expect(throws: MessageError.missingAttribute(1)) { try Bytes.payload().rulesetMessage(0x0a03) }
        #expect(throws: MessageError.truncated) { try [UInt8]().rulesetMessage(0x0a03) }
        let short = Bytes.payload(Messages.attribute(1, Bytes.text("t")), Messages.attribute(2, [1]))
        #expect(throws: MessageError.shortAttribute(2)) { try short.rulesetMessage(0x0a03) }
    }

    @Test("one sentence about what happened")
    func summarises() throws {
        func object(_ type: UInt16, _ name: String) throws -> RulesetMessage {
            try read(
                type,
                Bytes.payload(Messages.attribute(1, Bytes.text("e")), Messages.attribute(2, Bytes.text(name))),
            )
        }
        let table = Bytes.payload(Messages.attribute(1, Bytes.text("e")))
        func summary(_ messages: [RulesetMessage]) -> String { RulesetMessage.summary(of: "inet e", messages) }
        #expect(
            summary([try object(12, "open"), try object(6, "decide"), try object(12, "open"), try object(9, "mine")])
                == "table inet e: set mine added or changed, rules added to chain decide, elements added to set open"
        )
        #expect(summary([try object(8, "decide"), try read(2, table)]) == "table inet e was deleted")
        #expect(
            summary([try read(2, table), try read(0, table), try object(6, "decide")])
                == "table inet e was deleted, and made anew"
        )
        #expect(summary([try read(0, table)]) == "table inet e: its flags changed")
        let many = try (1...6).map { try object(14, "s\($0)") }
        #expect(summary(many).hasSuffix("elements removed from set s4 and 2 more"))
    }

    @Test("no bytes make it trap, and what it says is bounded")
    func survivesAnything() {
        let seed = SplitMix.seed()
        var random = SplitMix(state: seed)
        for sample in [Bytes.chain, Bytes.marks, Bytes.generation] {
            for length in 0...sample.count { check(Array(sample.prefix(length)), "\(length) bytes") }
            for _ in 0..<2000 { check(sample.mutated(using: &random), "EGRESSD_SEED=\(seed)") }
        }
    }

    private func check(_ bytes: [UInt8], _ comment: Comment) {
        for type: UInt16 in [0, 2, 3, 6, 9, 12, 15, 22] {
            guard let message = try? bytes.rulesetMessage(0x0a00 | type) else { continue }
            #expect(
                [message.table, message.name, message.chainType, message.processName].allSatisfy(Self.isPlain),
                comment
            )
        }
    }

    private static func isPlain(_ text: String) -> Bool {
        text.utf8.count <= 256 && text.utf8.allSatisfy { (0x21...0x7e).contains($0) }
    }
}
