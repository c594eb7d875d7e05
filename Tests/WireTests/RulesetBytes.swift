import TestSupport

@testable import Wire

/// Messages of nf_tables written by hand: NFPROTO_INET, and text with its NUL.
enum RulesetBytes {
    static func text(_ text: String) -> [UInt8] { Array(text.utf8) + [0] }

    static func payload(family: UInt8 = 1, _ attributes: [UInt8]...) -> [UInt8] {
        [family, 0, 0, 0] + attributes.flatMap { $0 }
    }

    static func expression(_ name: String, _ data: [UInt8]) -> [UInt8] {
        Messages.attribute(0x8001, Messages.attribute(1, text(name)) + Messages.attribute(0x8002, data))
    }

    static func rule(table: String = "t", chain: String = "c", _ expressions: [UInt8]...) -> [UInt8] {
        payload(
            Messages.attribute(1, text(table)),
            Messages.attribute(2, text(chain)),
            Messages.attribute(3, hex("0000000000000009")),
            Messages.attribute(0x8004, expressions.flatMap { $0 }),
        )
    }

    // nft add chain inet t c { type filter hook output priority -200; }
    static let chain = payload(
        Messages.attribute(1, text("t")),
        Messages.attribute(3, text("c")),
        Messages.attribute(2, hex("0000000000000007")),
        Messages.attribute(0x8004, Messages.attribute(1, hex("00000003")) + Messages.attribute(2, hex("ffffff38"))),
        Messages.attribute(5, hex("00000001")),
        Messages.attribute(7, text("filter")),
        Messages.attribute(6, hex("00000002")),
    )

    // nft add rule inet t c ct mark set 0x1
    static let marks = rule(
        expression("immediate", Messages.attribute(1, hex("00000001"))),
        expression("ct", Messages.attribute(2, hex("00000003")) + Messages.attribute(4, hex("00000001"))),
    )

    /// The generation 42 by `nft` (pid 4711).
    static let generation = payload(
        family: 0,
        Messages.attribute(1, hex("0000002a")),
        Messages.attribute(2, hex("00001267")),
        Messages.attribute(3, text("nft")),
    )

    /// What is said of them by one `recv`: 0x0a03, 0x0a06 and 0x0a0f are NFT_MSG_NEWCHAIN, NEWRULE and NEWGEN.
    static let datagram =
        Messages.message(type: 0x0a03, chain) + Messages.message(type: 0x0a06, marks)
        + Messages.message(type: 0x0a0f, generation)
}

extension [UInt8] {
    func rulesetMessage(_ type: UInt16) throws -> RulesetMessage? { try RulesetMessage(type: type, raw) }
}
