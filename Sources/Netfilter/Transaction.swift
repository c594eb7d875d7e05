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

    let batch: OpaquePointer
    let usesQueueExpression: Bool
    private let table: String
    private var setNumber: UInt32 = 0
    /// How many elements are added and removed by name.
    private(set) var elementCount = 0

    init(table: String = Layout.table, usesQueueExpression: Bool) {
        guard let batch = unsafe enf_batch_new() else { fatalError("no memory for a transaction") }
        unsafe self.batch = batch
        self.usesQueueExpression = usesQueueExpression
        self.table = table
    }

    deinit { unsafe enf_batch_free(batch) }

    var isEmpty: Bool { unsafe enf_batch_count(batch) == 0 }

    func reset() {
        unsafe enf_batch_reset(batch)
        elementCount = 0
    }

    /// Sends everything and waits for the kernel's answer.
    func commit(_ socket: Int32, _ operation: String) throws(NetfilterError) {
        defer { reset() }
        var index: UInt32 = 0
        let count = unsafe enf_batch_count(batch)
        let result = unsafe enf_batch_commit(batch, socket, &index, nil)
        guard result == 0 else {
            let place = index == .max ? "" : " (message \(index + 1) of \(count))"
            throw NetfilterError(code: -result, operation: operation + place)
        }
    }

    /// As `commit`, but tells which messages the kernel refused, each with its errno value; none: all of it is in force.
    ///
    /// Throws when it is not a message that the kernel refused, or when it could not do one of them just now.
    func commitTelling(_ socket: Int32, _ operation: String) throws(NetfilterError) -> [Int: Int32] {
        defer { reset() }
        var index: UInt32 = 0
        var errors = [Int32](repeating: 0, count: Int(unsafe enf_batch_count(batch)))
        let result = unsafe enf_batch_commit(batch, socket, &index, &errors)
        guard result != 0 else { return [:] }
        var refused: [Int: Int32] = [:]
        for (message, error) in errors.enumerated() where error != 0 {
            refused[message] = -error
            let error = NetfilterError(code: -error, operation: operation)
            if error.isPassing { throw error }
        }
        guard index != .max, !refused.isEmpty else { throw NetfilterError(code: -result, operation: operation) }
        return refused
    }

    func must(_ result: Int32) {
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
                chain.kind.rawValue,
                chain.hook?.rawValue ?? -1,
                chain.priority,
                chain.dropsByDefault,
            ),
        )
    }

    package func deleteChain(_ chain: String) { must(unsafe enf_chain_delete(batch, Self.family, table, chain)) }

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
            unsafe value.size = set.size
            must(unsafe enf_set_add(batch, Self.family, table, &value, setNumber))
        }
    }

    /// Deletes before adds, so that an element may be replaced.
    package func change(_ change: ElementChange) {
        if !change.remove.isEmpty { elements(change.remove, of: change.set, removing: true) }
        if !change.add.isEmpty { elements(change.add, of: change.set, removing: false) }
    }

    private func elements(_ elements: [SetElement], of set: String, removing: Bool) {
        elementCount += elements.count
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
