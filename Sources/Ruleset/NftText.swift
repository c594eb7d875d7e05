internal import Model

/// Writes the ruleset as nft text: what `egressd policy compile` prints and `nft -f` would load.
package struct NftText {
    /// What stands in place of `queue to N` where the reader of the text cannot take it.
    package let queueReplacement: String?

    package init(queueReplacement: String? = nil) { self.queueReplacement = queueReplacement }

    /// The whole table with these elements; elements that hold cgroups are left out, since nft wants them to exist.
    package func table(_ layout: Layout, elements: [ElementChange], compact: Bool = false) -> String {
        var perSet: [String: [SetElement]] = [:]
        for change in layout.constants + elements { perSet[change.set, default: []] += change.add }
        var text = "table inet \(Layout.table) {\n"
        for set in layout.sets where !compact || perSet[set.name] != nil {
            text += self.set(set, perSet[set.name] ?? [])
        }
        if !compact {
            for chain in layout.chains + layout.redirecting { text += self.chain(chain) }
        }
        return text + "}\n"
    }

    func set(_ set: SetDefinition, _ elements: [SetElement]) -> String {
        let kind = set.data == .none ? "set" : "map"
        var type = set.key.map(\.name).joined(separator: " . ")
        switch set.data {
        case .none: break
        case .mark: type += " : mark"
        case .verdict: type += " : verdict"
        }
        var text = "\t\(kind) \(set.name) {\n\t\ttype \(type)\n"
        var flags: [String] = []
        if set.isInterval { flags.append("interval") }
        if set.hasTimeout { flags.append("timeout") }
        if !flags.isEmpty { text += "\t\tflags \(flags.joined(separator: ","))\n" }
        if set.size > 0 { text += "\t\tsize \(set.size)\n" }
        if set.counts { text += "\t\tcounter\n" }
        if !elements.isEmpty, !set.key.contains(.cgroup) {
            let lines = elements.map { "\t\t\t" + element($0, set) }
            text += "\t\telements = {\n" + lines.joined(separator: ",\n") + "\n\t\t}\n"
        }
        return text + "\t}\n"
    }

    private func element(_ element: SetElement, _ set: SetDefinition) -> String {
        var offset = 0
        var fields: [String] = []
        for field in set.key {
            let length = Int(field.length)
            let low = Array(element.key[offset..<offset + length])
            let high = element.keyEnd.map { Array($0[offset..<offset + length]) } ?? low
            fields.append(range(field, low, high, networkOrder: set.isInterval))
            offset += (length + 3) & ~3
        }
        let key = fields.joined(separator: " . ")
        switch element.data {
        case .none: return key
        case .mark(let mark): return "\(key) : \(hex(mark))"
        case .goto(let chain): return "\(key) : goto \(chain)"
        case .jump(let chain): return "\(key) : jump \(chain)"
        }
    }

    private func range(
        _ field: SetDefinition.FieldType,
        _ low: [UInt8],
        _ high: [UInt8],
        networkOrder: Bool,
    ) -> String {
        func text(_ bytes: [UInt8]) -> String {
            let ordered = networkOrder || (field != .mark && field != .uid) ? bytes : bytes.reversed()
            let value = ordered.reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
            switch field {
            case .ipv4: return "\(IPAddress.v4(UInt32(truncatingIfNeeded: value)))"
            case .ipv6: return "\(IPAddress.v6(value))"
            case .mark: return hex(UInt32(truncatingIfNeeded: value))
            case .transport: return "\(Transport(number: UInt8(truncatingIfNeeded: value)))"
            case .service, .uid, .cgroup: return "\(value)"
            }
        }
        let (lower, upper) = (text(low), text(high))
        return lower == upper ? lower : "\(lower)-\(upper)"
    }

    func chain(_ chain: ChainDefinition) -> String {
        var text = "\tchain \(chain.name) {\n"
        if let hook = chain.hook {
            let policy = chain.dropsByDefault ? "drop" : "accept"
            text += "\t\ttype \(chain.kind.rawValue) hook \(hook) priority \(chain.priority); policy \(policy);\n"
        }
        for rule in chain.rules {
            let parts = rule.matches.map(match) + rule.actions.map(action)
            text += "\t\t\(parts.joined(separator: " "))\n"
        }
        return text + "\t}\n"
    }

    private func fields(_ fields: [Field]) -> String { fields.map(field).joined(separator: " . ") }

    private func field(_ field: Field) -> String {
        switch field {
        case .cgroup(let level): "socket cgroupv2 level \(level)"
        case .uid: "meta skuid"
        case .mark(mask: .max): "ct mark"
        case .mark(let mask): "ct mark & \(hex(mask))"
        case .source(.v4): "ip saddr"
        case .source(.v6): "ip6 saddr"
        case .destination(.v4): "ip daddr"
        case .destination(.v6): "ip6 daddr"
        case .transport: "meta l4proto"
        case .sourcePort: "th sport"
        case .destinationPort: "th dport"
        }
    }

    private func match(_ match: Match) -> String {
        switch match {
        case .nfproto(.v4): return "meta nfproto ipv4"
        case .nfproto(.v6): return "meta nfproto ipv6"
        case .plainHeader(.v4): return "ip hdrlength 5"
        case .plainHeader(.v6): return "ip6 nexthdr tcp"
        case .transport(let transport): return "meta l4proto \(transport)"
        case .member(let fields, let set): return "\(self.fields(fields)) @\(set)"
        case .mark(mask: .max, let value): return "ct mark \(hex(value))"
        case .mark(let mask, let value): return "ct mark & \(hex(mask)) == \(hex(value))"
        case .markNot(let mask, let value): return "ct mark & \(hex(mask)) != \(hex(value))"
        case .tcpFlags(let mask, let value): return "tcp flags & (\(flags(mask))) == \(flags(value))"
        case .tcpFlagsNot(let mask, let value): return "tcp flags & (\(flags(mask))) != \(flags(value))"
        case .tcpHeader(let words): return "tcp doff \(words)"
        case .length(let length): return "meta length \(length)"
        case .state(let states):
            let names = states.sorted { $0.rawValue < $1.rawValue }.map { "\($0)" }
            return "ct state \(names.joined(separator: ","))"
        case .replyDirection: return "ct direction reply"
        case .translated: return "ct status dnat"
        case .fromLoopback: return "iif \"lo\""
        case .toLoopback: return "oif \"lo\""
        case .notToLoopback: return "oif != \"lo\""
        case .owned: return "meta skuid != 4294967295"
        case .cgroupExists(let level): return "socket cgroupv2 level \(level) != \"/\""
        case .ports(let source, let destination): return "udp sport \(source) udp dport \(destination)"
        case .destination(let address): return "\(field(.destination(address.isV4 ? .v4 : .v6))) \(address)"
        case .destinationPort(let port): return "\(field(.destinationPort)) \(port)"
        }
    }

    private func flags(_ bits: UInt8) -> String {
        guard bits != 0 else { return "0x0" }
        // RFC 9293 §3.1, lowest bit first.
        let names = ["fin", "syn", "rst", "psh", "ack", "urg"]
        return names.indices.filter { bits >> UInt8($0) & 1 == 1 }.map { names[$0] }.joined(separator: " | ")
    }

    private func action(_ action: Action) -> String {
        switch action {
        case .accept: return "accept"
        case .drop: return "drop"
        case .goto(let chain): return "goto \(chain)"
        case .jump(let chain): return "jump \(chain)"
        case .verdictMap(let fields, let map): return "\(self.fields(fields)) vmap @\(map)"
        case .setMark(let mark): return "ct mark set \(hex(mark))"
        case .setMarkBits(let keep, let or): return "ct mark set ct mark & \(hex(keep)) | \(hex(or))"
        case .setMarkFromMap(let fields, let map): return "ct mark set \(self.fields(fields)) map @\(map)"
        case .setPacketMarkFromConnection: return "meta mark set ct mark"
        case .redirect(let port): return "redirect to :\(port)"
        case .queue(let number): return queueReplacement ?? "queue to \(number)"
        case .log(let group, let prefix): return "log " + (prefix.map { "prefix \"\($0)\" " } ?? "") + "group \(group)"
        case .rejectReset: return "reject with tcp reset"
        case .rejectProhibited: return "reject with icmpx admin-prohibited"
        }
    }

    private func hex(_ value: UInt32) -> String {
        let digits = String(value, radix: 16)
        return "0x" + String(repeating: "0", count: 8 - digits.utf8.count) + digits
    }
}
