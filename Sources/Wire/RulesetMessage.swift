/// What nf_tables says of one of its objects: the answer to a dump, or what somebody changed.
///
/// Reads the messages of `linux/netfilter/nf_tables.h`; the same form is used for both. Names are bounded and printable: what
/// a foreign name holds besides is shown as `?`. Never traps, whatever the bytes are.
package struct RulesetMessage: Hashable, Sendable {
    /// What a message is about.
    package enum Subject: Hashable, Sendable {
        case table, chain, rule, set, element, object, flowtable
        /// The end of a transaction: the number of the generation that began.
        case generation
    }

    /// Where a base chain stands.
    package struct Hook: Hashable, Sendable {
        /// In `inet`, `ip` and `ip6` 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting; in `netdev` 0 ingress, 1 egress.
        package var number: UInt32 = 0
        package var priority: Int32 = 0
        /// The first device, in `netdev`.
        package var device: String?

        package init() {}
    }

    package let subject: Subject
    package let isDeletion: Bool
    /// The family of the table: 1 `inet`, 2 `ip`, 5 `netdev`, 10 `ip6`, and others.
    package let family: UInt8
    /// The table's name; empty for a generation.
    package private(set) var table = ""
    /// The name of the chain (a rule's too), the set (an element's too), the object or the flowtable; empty for a table.
    package private(set) var name = ""
    /// The number that the kernel gave a chain; 0 for what has none here.
    package private(set) var handle: UInt64 = 0
    /// How often a chain is used: its rules, and the rules that lead to it.
    package private(set) var uses: UInt32 = 0
    /// NFT_TABLE_F_*.
    package private(set) var tableFlags: UInt32 = 0
    /// A base chain's place.
    package private(set) var hook: Hook?
    /// A base chain's type: `filter`, `nat`, `route`.
    package private(set) var chainType = ""
    /// What a rule does that concerns others.
    package private(set) var effects: RuleEffects = []
    /// The generation that began.
    package private(set) var generation: UInt32 = 0
    /// The process that made it, as the first process namespace counts.
    package private(set) var process: UInt32 = 0
    package private(set) var processName = ""

    /// Reads the payload of one netlink message, from its `nfgenmsg` on; nil for a type that says nothing of an object.
    ///
    /// A message without the name of its table is an error, and so is a generation without its number.
    package init?(type: UInt16, _ bytes: RawSpan) throws(MessageError) {
        guard type >> 8 == Number.subsystem, let (subject, isDeletion) = Self.subject(type & 0xff) else { return nil }
        let header = try NetfilterHeader(bytes)
        self.subject = subject
        self.isDeletion = isDeletion
        self.family = header.family
        var attributes = header.attributes(of: bytes)
        var hasFirst = false
        while let attribute = try attributes.next(in: bytes) {
            // The first attribute of every object is its table's name.
            if attribute.type == 1 { hasFirst = true }
            if subject == .generation {
                try takeGeneration(attribute, bytes)
            } else if attribute.type == 1 {
                table = attribute.name(in: bytes)
            } else {
                try takeObject(attribute, bytes)
            }
        }
        guard hasFirst else { throw .missingAttribute(1) }
    }

    private enum Number {
        /// NFNL_SUBSYS_NFTABLES of `linux/netfilter/nfnetlink.h`.
        static let subsystem: UInt16 = 10
    }

    /// `enum nf_tables_msg_types`.
    private static func subject(_ type: UInt16) -> (Subject, isDeletion: Bool)? {
        switch type {
        case 0: (.table, false)
        case 2: (.table, true)
        case 3: (.chain, false)
        case 5: (.chain, true)
        case 6: (.rule, false)
        case 8: (.rule, true)
        case 9: (.set, false)
        case 11: (.set, true)
        case 12: (.element, false)
        case 14: (.element, true)
        case 15: (.generation, false)
        case 18: (.object, false)
        case 20: (.object, true)
        case 22: (.flowtable, false)
        case 24: (.flowtable, true)
        default: nil
        }
    }

    /// `enum nft_gen_attributes`.
    private mutating func takeGeneration(
        _ attribute: NetlinkAttributes.Attribute,
        _ bytes: RawSpan,
    ) throws(MessageError) {
        switch attribute.type {
        case 1: generation = try attribute.network32(in: bytes)
        case 2: process = try attribute.network32(in: bytes)
        case 3: processName = attribute.name(in: bytes)
        default: break
        }
    }

    /// `enum nft_table_attributes`, `nft_chain_attributes`, `nft_rule_attributes` and those of what has only a name.
    private mutating func takeObject(
        _ attribute: NetlinkAttributes.Attribute,
        _ bytes: RawSpan,
    ) throws(MessageError) {
        switch (subject, attribute.type) {
        case (.table, 2): tableFlags = try attribute.network32(in: bytes)
        case (.chain, 2): handle = try attribute.network64(in: bytes)
        case (.chain, 3), (.rule, 2), (.set, 2), (.element, 2), (.object, 2), (.flowtable, 2):
            name = attribute.name(in: bytes)
        case (.chain, 4): hook = try Hook(attribute, bytes)
        case (.chain, 6): uses = try attribute.network32(in: bytes)
        case (.chain, 7): chainType = attribute.name(in: bytes)
        case (.rule, 4): effects = try RuleEffects(expressions: attribute, bytes)
        default: break
        }
    }
}

extension RulesetMessage.Hook {
    /// `enum nft_hook_attributes`.
    fileprivate init(_ attribute: NetlinkAttributes.Attribute, _ bytes: RawSpan) throws(MessageError) {
        var fields = NetlinkAttributes(attribute.value)
        while let field = try fields.next(in: bytes) {
            switch field.type {
            case 1: number = try field.network32(in: bytes)
            case 2: priority = Int32(bitPattern: try field.network32(in: bytes))
            case 3: device = field.name(in: bytes)
            case 4:
                var devices = NetlinkAttributes(field.value)
                if let first = try devices.next(in: bytes) { device = first.name(in: bytes) }
            default: break
            }
        }
    }
}

extension NetlinkAttributes.Attribute {
    /// The longest name of nf_tables (NFT_NAME_MAXLEN).
    private static let nameLimit = 256

    /// The value's text up to its first NUL; what is not printable ASCII becomes `?`.
    func name(in bytes: RawSpan) -> String {
        var text: [UInt8] = []
        for offset in value.prefix(Self.nameLimit) {
            guard let byte = bytes.byte(at: offset), byte != 0 else { break }
            text.append((0x21...0x7e).contains(byte) ? byte : UInt8(ascii: "?"))
        }
        return String(decoding: text, as: UTF8.self)
    }
}
