/// What a rule does, besides accepting and dropping, that concerns whoever else filters the same packets.
package struct RuleEffects: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// It sets the connection mark (`ct mark set`, CONNMARK).
    package static let setsConnectionMark = RuleEffects(rawValue: 1 << 0)
    /// It takes packets out of connection tracking (`notrack`, NOTRACK, CT).
    package static let untracks = RuleEffects(rawValue: 1 << 1)
    /// It changes where a connection goes (`dnat`, `redirect`, DNAT, REDIRECT).
    package static let translates = RuleEffects(rawValue: 1 << 2)
    /// It sends packets, or copies of them, another way (`dup`, `fwd`, TEE).
    package static let diverts = RuleEffects(rawValue: 1 << 3)
    /// It takes connections past the rules (`flow add`, FLOWOFFLOAD).
    package static let offloads = RuleEffects(rawValue: 1 << 4)
    /// It asks another program (`queue`, NFQUEUE).
    package static let queues = RuleEffects(rawValue: 1 << 5)
}

extension RuleEffects {
    /// Reads NFTA_RULE_EXPRESSIONS: a list of names with data.
    init(expressions: NetlinkAttributes.Attribute, _ bytes: RawSpan) throws(MessageError) {
        self = []
        var list = NetlinkAttributes(expressions.value)
        while let element = try list.next(in: bytes) {
            var fields = NetlinkAttributes(element.value)
            var name = ""
            while let field = try fields.next(in: bytes) {
                // NFTA_EXPR_NAME comes before NFTA_EXPR_DATA.
                if field.type == 1 { name = field.name(in: bytes) }
                if field.type == 2 { try formUnion(Self.effects(of: name, field, bytes)) }
            }
            // What has no data is known by its name alone.
            formUnion(Self.plain[name] ?? [])
        }
    }

    private static let plain: [String: RuleEffects] = [
        "notrack": .untracks, "redir": .translates, "dup": .diverts, "fwd": .diverts, "flow_offload": .offloads,
        "queue": .queues,
    ]

    /// The extensions of x_tables, as nft_compat carries them.
    private static let targets: [String: RuleEffects] = [
        "CONNMARK": .setsConnectionMark, "NOTRACK": .untracks, "CT": .untracks, "DNAT": .translates,
        "REDIRECT": .translates, "TEE": .diverts, "FLOWOFFLOAD": .offloads, "NFQUEUE": .queues,
    ]

    private static func effects(
        of name: String,
        _ data: NetlinkAttributes.Attribute,
        _ bytes: RawSpan,
    ) throws(MessageError) -> RuleEffects {
        guard name == "ct" || name == "nat" || name == "target" else { return [] }
        var fields = NetlinkAttributes(data.value)
        var (key, type) = (UInt32.max, UInt32.max)
        var (sets, target) = (false, "")
        while let field = try fields.next(in: bytes) {
            switch (name, field.type) {
            case ("ct", 2): key = try field.network32(in: bytes)
            case ("ct", 4): sets = true
            case ("nat", 1): type = try field.network32(in: bytes)
            case ("target", 1): target = field.name(in: bytes)
            default: break
            }
        }
        return switch name {
        // NFT_CT_MARK, from a register.
        case "ct": sets && key == 3 ? .setsConnectionMark : []
        // NFT_NAT_DNAT.
        case "nat": type == 1 ? .translates : []
        default: targets[target] ?? []
        }
    }
}
