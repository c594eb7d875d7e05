internal import CNetfilter
internal import Model
package import Ruleset

/// A list of changes that the kernel takes as a whole or not at all.
///
/// Not thread-safe: one belongs to the table it changes.
@safe
package final class Transaction {
    /// NFPROTO_INET of include/uapi/linux/netfilter.h.
    private static let family: UInt8 = 1

    private let batch: OpaquePointer
    private let usesQueueExpression: Bool
    private let table: String
    private var setNumber: UInt32 = 0

    init(table: String = Layout.table, usesQueueExpression: Bool) {
        guard let batch = unsafe enf_batch_new() else { fatalError("no memory for a transaction") }
        unsafe self.batch = batch
        self.usesQueueExpression = usesQueueExpression
        self.table = table
    }

    deinit { unsafe enf_batch_free(batch) }

    var isEmpty: Bool { unsafe enf_batch_count(batch) == 0 }

    func reset() { unsafe enf_batch_reset(batch) }

    /// Sends everything and waits for the kernel's answer.
    func commit(_ socket: Int32, _ operation: String) throws(NetfilterError) {
        defer { reset() }
        var index: UInt32 = 0
        let count = unsafe enf_batch_count(batch)
        let result = unsafe enf_batch_commit(batch, socket, &index)
        guard result == 0 else {
            let place = index == .max ? "" : " (message \(index + 1) of \(count))"
            throw NetfilterError(code: -result, operation: operation + place)
        }
    }

    private func must(_ result: Int32) {
        // Building a message fails only for lack of memory, or for a name longer than the kernel's limit: both are ours.
        precondition(result >= 0, "a message could not be built: errno \(-result)")
    }

    package func addTable(flags: UInt32) { must(unsafe enf_table_add(batch, Self.family, table, flags)) }

    package func deleteTable() { must(unsafe enf_table_delete(batch, Self.family, table)) }

    package func addChain(_ chain: ChainDefinition) {
        must(
            unsafe enf_chain_add(
                batch,
                Self.family,
                table,
                chain.name,
                chain.hook?.rawValue ?? -1,
                chain.priority,
                chain.dropsByDefault,
            ),
        )
    }

    package func flushRules(of chain: String) { must(unsafe enf_chain_flush(batch, Self.family, table, chain)) }

    package func flushElements(of set: String) { must(unsafe enf_elements_flush(batch, Self.family, table, set)) }

    package func addSet(_ set: SetDefinition) {
        setNumber += 1
        unsafe set.name.withCString { name in
            var value = unsafe enf_set()
            unsafe value.name = name
            unsafe value.key_type = set.key.reduce(0) { $0 << 6 | $1.rawValue }
            unsafe value.key_length = UInt32(set.keyLength)
            unsafe value.field_count = UInt8(set.key.count)
            unsafe withUnsafeMutableBytes(of: &value.field_lengths) { bytes in
                for (index, field) in set.key.enumerated() { unsafe bytes[index] = field.length }
            }
            var flags: UInt32 = 0
            if set.isInterval { flags |= 0x4 }  // NFT_SET_INTERVAL
            if set.data != .none { flags |= 0x8 }  // NFT_SET_MAP
            if set.hasTimeout { flags |= 0x10 }  // NFT_SET_TIMEOUT
            if set.key.count > 1, set.isInterval { flags |= 0x80 }  // NFT_SET_CONCAT
            unsafe value.flags = flags
            switch set.data {
            case .none: break
            case .mark:
                unsafe value.data_type = SetDefinition.FieldType.mark.rawValue
                unsafe value.data_length = 4
            case .verdict:
                unsafe value.data_type = 0xffff_ff00
                unsafe value.data_length = 16
            }
            unsafe value.counter = set.counts
            must(unsafe enf_set_add(batch, Self.family, table, &value, setNumber))
        }
    }

    /// Deletes before adds, so that an element may be replaced.
    package func change(_ change: ElementChange) {
        if !change.remove.isEmpty { elements(change.remove, of: change.set, removing: true) }
        if !change.add.isEmpty { elements(change.add, of: change.set, removing: false) }
    }

    private func elements(_ elements: [SetElement], of set: String, removing: Bool) {
        must(unsafe enf_elements_begin(batch, Self.family, table, set, removing))
        for element in elements {
            let (verdict, chain): (Int32, String?) =
                switch element.data {
                case .goto(let chain): (-4, chain)  // NFT_GOTO
                case .jump(let chain): (-3, chain)  // NFT_JUMP
                case .none, .mark: (0, nil)
                }
            var mark: UInt32 = if case .mark(let mark) = element.data { mark } else { 0 }
            let hasMark = if case .mark = element.data { true } else { false }
            unsafe element.key.withUnsafeBufferPointer { key in
                guard let bytes = key.baseAddress else { return }
                unsafe withOptionalPointer(element.keyEnd) { end in
                    unsafe withUnsafeBytes(of: &mark) { data in
                        let value = hasMark ? unsafe data.bindMemory(to: UInt8.self).baseAddress : nil
                        must(
                            unsafe enf_element(
                                batch,
                                bytes,
                                end,
                                UInt32(key.count),
                                value,
                                4,
                                verdict,
                                chain,
                                element.timeout,
                            ),
                        )
                    }
                }
            }
        }
        must(unsafe enf_elements_end(batch))
    }

    private func withOptionalPointer(_ bytes: [UInt8]?, _ body: (UnsafePointer<UInt8>?) -> Void) {
        guard let bytes else { return body(nil) }
        unsafe bytes.withUnsafeBufferPointer { unsafe body($0.baseAddress) }
    }

    package func addRule(_ rule: RuleLine, to chain: String) {
        must(unsafe enf_rule_begin(batch, Self.family, table, chain))
        for match in rule.matches { encode(match) }
        for action in rule.actions { encode(action) }
        must(unsafe enf_rule_end(batch))
    }
}

// The numbers of include/uapi/linux/netfilter/nf_tables.h that the rules use.
private enum Kernel {
    static let metaLength: UInt32 = 0
    static let metaInputInterface: UInt32 = 4
    static let metaOutputInterface: UInt32 = 5
    static let metaUID: UInt32 = 10
    static let metaFamily: UInt32 = 15
    static let metaTransport: UInt32 = 16
    static let ctState: UInt32 = 0
    static let ctDirection: UInt32 = 1
    static let ctMark: UInt32 = 3
    static let networkHeader: UInt32 = 1
    static let transportHeader: UInt32 = 2
    static let equal: UInt32 = 0
    static let notEqual: UInt32 = 1
    static let atMost: UInt32 = 3
    static let atLeast: UInt32 = 5
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

    private func transportByte(_ offset: UInt32, mask: UInt8, _ op: UInt32, _ value: UInt8) {
        must(unsafe enf_expr_payload(batch, Kernel.transportHeader, offset, 1, Kernel.firstRegister))
        bits(Kernel.firstRegister, mask: [mask])
        compare(op, [value])
    }

    private func requireTransport(_ number: UInt8) {
        meta(Kernel.metaTransport)
        compare(Kernel.equal, [number])
    }

    fileprivate func encode(_ match: Match) {
        switch match {
        case .nfproto(let family):
            meta(Kernel.metaFamily)
            compare(Kernel.equal, [family == .v4 ? 2 : 10])
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
            transportByte(13, mask: mask, Kernel.equal, value)
        case .tcpFlagsNot(let mask, let value):
            requireTransport(6)
            transportByte(13, mask: mask, Kernel.notEqual, value)
        case .tcpHeader(let words):
            requireTransport(6)
            transportByte(12, mask: 0xf0, Kernel.equal, words << 4)
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
        case .fromLoopback:
            meta(Kernel.metaInputInterface)
            compare(Kernel.equal, host(Kernel.loopbackIndex))
        case .toLoopback:
            meta(Kernel.metaOutputInterface)
            compare(Kernel.equal, host(Kernel.loopbackIndex))
        case .owned:
            meta(Kernel.metaUID)
            must(unsafe enf_expr_byteorder(batch, Kernel.firstRegister, 4, 4))
            compare(Kernel.atLeast, [0, 0, 0, 0])
            compare(Kernel.atMost, [255, 255, 255, 255])
        case .cgroupExists(let level):
            must(unsafe enf_expr_socket_cgroup(batch, level, Kernel.firstRegister))
            compare(Kernel.notEqual, host(1) + host(0))
        case .ports(let source, let destination):
            requireTransport(17)
            var key = Key(capacity: 8)
            key.port(source)
            must(unsafe enf_expr_payload(batch, Kernel.transportHeader, 0, 2, Kernel.firstRegister))
            compare(Kernel.equal, Array(key.bytes.prefix(2)))
            key = Key(capacity: 8)
            key.port(destination)
            must(unsafe enf_expr_payload(batch, Kernel.transportHeader, 2, 2, Kernel.firstRegister))
            compare(Kernel.equal, Array(key.bytes.prefix(2)))
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

    fileprivate func encode(_ action: Action) {
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
        case .queue(let number):
            must(
                usesQueueExpression
                    ? unsafe enf_expr_queue(batch, number) : unsafe enf_expr_queue_target(batch, number),
            )
        case .log(let group, let prefix): must(unsafe enf_expr_log(batch, group, prefix))
        case .count: must(unsafe enf_expr_counter(batch))
        case .rejectReset: must(unsafe enf_expr_reject(batch, 1, 0))
        case .rejectProhibited: must(unsafe enf_expr_reject(batch, 2, 3))
        }
    }
}
