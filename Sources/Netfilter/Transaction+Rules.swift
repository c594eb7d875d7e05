internal import CNetfilter
internal import Model
internal import Ruleset

// The numbers of include/uapi/linux/netfilter/nf_tables.h that the rules use.
private enum Kernel {
    static let metaMark: UInt32 = 3
    static let metaLength: UInt32 = 0
    static let metaInputInterface: UInt32 = 4
    static let metaOutputInterface: UInt32 = 5
    static let metaUID: UInt32 = 10
    static let metaFamily: UInt32 = 15
    static let metaTransport: UInt32 = 16
    static let ctState: UInt32 = 0
    static let ctDirection: UInt32 = 1
    static let ctStatus: UInt32 = 2
    static let ctMark: UInt32 = 3
    /// IPS_DST_NAT of include/uapi/linux/netfilter/nf_conntrack_common.h.
    static let translated: UInt32 = 1 << 5
    static let networkHeader: UInt32 = 1
    static let transportHeader: UInt32 = 2
    static let equal: UInt32 = 0
    static let notEqual: UInt32 = 1
    static let noRegister = UInt32.max
    static let verdictRegister: UInt32 = 0
    /// The first data register, 16 bytes; the 4-byte ones from 8 on lie over it.
    static let firstRegister: UInt32 = 1
    static let loopbackIndex: UInt32 = 1
}

extension Transaction {
    private func compare(_ op: UInt32, _ bytes: [UInt8]) {
        must(unsafe enf_expr_cmp(batch, op, Kernel.firstRegister, bytes, UInt32(bytes.count)))
    }

    private func host(_ value: UInt32) -> [UInt8] {
        var key = Key(capacity: 4)
        key.host(value)
        return key.bytes
    }

    private func meta(_ key: UInt32) { must(unsafe enf_expr_meta_load(batch, key, Kernel.firstRegister)) }

    private func bits(_ register: UInt32, mask: [UInt8], xor: [UInt8]? = nil) {
        let zero = [UInt8](repeating: 0, count: mask.count)
        must(unsafe enf_expr_bitwise(batch, register, mask, xor ?? zero, UInt32(mask.count)))
    }

    private func loadMark(mask: UInt32) {
        must(unsafe enf_expr_ct_load(batch, Kernel.ctMark, Kernel.firstRegister))
        if mask != .max { bits(Kernel.firstRegister, mask: host(mask)) }
    }

    private func byte(of header: UInt32, _ offset: UInt32, mask: UInt8, _ op: UInt32, _ value: UInt8) {
        must(unsafe enf_expr_payload(batch, header, offset, 1, Kernel.firstRegister))
        if mask != .max { bits(Kernel.firstRegister, mask: [mask]) }
        compare(op, [value])
    }

    private func requireTransport(_ number: UInt8) {
        meta(Kernel.metaTransport)
        compare(Kernel.equal, [number])
    }

    private func require(_ family: Field.Family) {
        meta(Kernel.metaFamily)
        compare(Kernel.equal, [family == .v4 ? 2 : 10])
    }

    private func comparePort(at offset: UInt32, _ port: UInt16) {
        must(unsafe enf_expr_payload(batch, Kernel.transportHeader, offset, 2, Kernel.firstRegister))
        compare(Kernel.equal, network(port))
    }

    private func network(_ port: UInt16) -> [UInt8] { [UInt8(port >> 8), UInt8(port & 255)] }

    func encode(_ match: Match) {
        switch match {
        case .nfproto(let family):
            require(family)
        case .plainHeader(.v4): byte(of: Kernel.networkHeader, 0, mask: 0x0f, Kernel.equal, 5)
        case .plainHeader(.v6): byte(of: Kernel.networkHeader, 6, mask: .max, Kernel.equal, 6)
        case .transport(let transport):
            requireTransport(transport.number)
        case .member(let fields, let set):
            load(fields, networkOrderMark: set.hasPrefix("rules") || set.hasPrefix("listen"))
            must(unsafe enf_expr_lookup(batch, set, Kernel.firstRegister, Kernel.noRegister))
        case .mark(let mask, let value):
            loadMark(mask: mask)
            compare(Kernel.equal, host(value))
        case .markNot(let mask, let value):
            loadMark(mask: mask)
            compare(Kernel.notEqual, host(value))
        case .tcpFlags(let mask, let value):
            requireTransport(6)
            byte(of: Kernel.transportHeader, 13, mask: mask, Kernel.equal, value)
        case .tcpFlagsNot(let mask, let value):
            requireTransport(6)
            byte(of: Kernel.transportHeader, 13, mask: mask, Kernel.notEqual, value)
        case .tcpHeader(let words):
            requireTransport(6)
            byte(of: Kernel.transportHeader, 12, mask: 0xf0, Kernel.equal, words << 4)
        case .length(let length):
            meta(Kernel.metaLength)
            compare(Kernel.equal, host(length))
        case .state(let states):
            must(unsafe enf_expr_ct_load(batch, Kernel.ctState, Kernel.firstRegister))
            bits(Kernel.firstRegister, mask: host(states.reduce(0) { $0 | $1.rawValue }))
            compare(Kernel.notEqual, host(0))
        case .replyDirection:
            must(unsafe enf_expr_ct_load(batch, Kernel.ctDirection, Kernel.firstRegister))
            compare(Kernel.equal, [1])
        case .translated:
            must(unsafe enf_expr_ct_load(batch, Kernel.ctStatus, Kernel.firstRegister))
            bits(Kernel.firstRegister, mask: host(Kernel.translated))
            compare(Kernel.notEqual, host(0))
        case .fromLoopback:
            meta(Kernel.metaInputInterface)
            compare(Kernel.equal, host(Kernel.loopbackIndex))
        case .toLoopback:
            meta(Kernel.metaOutputInterface)
            compare(Kernel.equal, host(Kernel.loopbackIndex))
        case .notToLoopback:
            meta(Kernel.metaOutputInterface)
            compare(Kernel.notEqual, host(Kernel.loopbackIndex))
        case .owned:
            meta(Kernel.metaUID)
            compare(Kernel.notEqual, host(.max))
        case .cgroupExists(let level):
            must(unsafe enf_expr_socket_cgroup(batch, level, Kernel.firstRegister))
            compare(Kernel.notEqual, host(1) + host(0))
        case .ports(let source, let destination):
            requireTransport(17)
            comparePort(at: 0, source)
            comparePort(at: 2, destination)
        case .destination(let address):
            require(address.isV4 ? .v4 : .v6)
            load([.destination(address.isV4 ? .v4 : .v6)], networkOrderMark: false)
            compare(Kernel.equal, address.bytes)
        case .destinationPort(let port):
            comparePort(at: 2, port)
        }
    }

    /// Loads the fields side by side from the first register on.
    private func load(_ fields: [Field], networkOrderMark: Bool) {
        var word: UInt32 = 0
        for field in fields {
            let register = word == 0 ? Kernel.firstRegister : 8 + word
            switch field {
            case .cgroup(let level):
                must(unsafe enf_expr_socket_cgroup(batch, level, register))
                word += 2
            case .uid:
                must(unsafe enf_expr_meta_load(batch, Kernel.metaUID, register))
                word += 1
            case .mark(let mask):
                must(unsafe enf_expr_ct_load(batch, Kernel.ctMark, register))
                if mask != .max { bits(register, mask: host(mask)) }
                if networkOrderMark { must(unsafe enf_expr_byteorder(batch, register, 4, 4)) }
                word += 1
            case .source(let family), .destination(let family):
                let isSource = if case .source = field { true } else { false }
                let (offset, length): (UInt32, UInt32) =
                    family == .v4 ? (isSource ? 12 : 16, 4) : (isSource ? 8 : 24, 16)
                must(unsafe enf_expr_payload(batch, Kernel.networkHeader, offset, length, register))
                word += length / 4
            case .transport:
                must(unsafe enf_expr_meta_load(batch, Kernel.metaTransport, register))
                word += 1
            case .sourcePort, .destinationPort:
                let offset: UInt32 = field == .sourcePort ? 0 : 2
                must(unsafe enf_expr_payload(batch, Kernel.transportHeader, offset, 2, register))
                word += 1
            }
        }
    }

    func encode(_ action: Action) {
        switch action {
        case .accept: must(unsafe enf_expr_verdict(batch, 1, nil))
        case .drop: must(unsafe enf_expr_verdict(batch, 0, nil))
        case .goto(let chain): must(unsafe enf_expr_verdict(batch, -4, chain))
        case .jump(let chain): must(unsafe enf_expr_verdict(batch, -3, chain))
        case .verdictMap(let fields, let map):
            load(fields, networkOrderMark: false)
            must(unsafe enf_expr_lookup(batch, map, Kernel.firstRegister, Kernel.verdictRegister))
        case .setMark(let mark):
            must(unsafe enf_expr_immediate(batch, Kernel.firstRegister, host(mark), 4))
            must(unsafe enf_expr_ct_set(batch, Kernel.ctMark, Kernel.firstRegister))
        case .setMarkBits(let keep, let or):
            must(unsafe enf_expr_ct_load(batch, Kernel.ctMark, Kernel.firstRegister))
            bits(Kernel.firstRegister, mask: host(keep & ~or), xor: host(or))
            must(unsafe enf_expr_ct_set(batch, Kernel.ctMark, Kernel.firstRegister))
        case .setMarkFromMap(let fields, let map):
            load(fields, networkOrderMark: false)
            must(unsafe enf_expr_lookup(batch, map, Kernel.firstRegister, Kernel.firstRegister))
            must(unsafe enf_expr_ct_set(batch, Kernel.ctMark, Kernel.firstRegister))
        case .setPacketMarkFromConnection:
            must(unsafe enf_expr_ct_load(batch, Kernel.ctMark, Kernel.firstRegister))
            must(unsafe enf_expr_meta_set(batch, Kernel.metaMark, Kernel.firstRegister))
        case .redirect(let port):
            must(unsafe enf_expr_immediate(batch, Kernel.firstRegister, network(port), 2))
            must(unsafe enf_expr_redirect(batch, Kernel.firstRegister))
        case .queue(let number):
            must(
                usesQueueExpression
                    ? unsafe enf_expr_queue(batch, number) : unsafe enf_expr_queue_target(batch, number),
            )
        case .log(let group, let prefix): must(unsafe enf_expr_log(batch, group, prefix))
        case .rejectReset: must(unsafe enf_expr_reject(batch, 1, 0))
        case .rejectProhibited: must(unsafe enf_expr_reject(batch, 2, 3))
        }
    }
}
