internal import CNetfilter
internal import Ruleset
internal import Wire

/// Reads the ruleset of this network namespace.
package final class RulesetReader {
    private let socket: Int32
    private var sequence: UInt32 = 0

    package init() throws(NetfilterError) {
        socket = try check(enf_open(12, 4 << 20), "opening a socket for the ruleset")
    }

    deinit { enf_close(socket) }

    // NFT_MSG_GET* of include/uapi/linux/netfilter/nf_tables.h.
    private static let getTable: UInt16 = 1
    private static let getChain: UInt16 = 4
    private static let getRule: UInt16 = 7
    private static let getSet: UInt16 = 10
    private static let getGeneration: UInt16 = 16

    /// The number of the generation: one more with every transaction that changed something, whoever made it.
    package func generation() throws(NetfilterError) -> UInt32 {
        var generation: UInt32 = 0
        try ask(Self.getGeneration, isDump: false) { (message, _) in generation = message.generation }
        return generation
    }

    /// egressd's own table, without its elements.
    ///
    /// Read anew when the ruleset changes meanwhile, at most some times: an answer that differs from what was expected may
    /// be of two moments.
    package func own() throws(NetfilterError) -> OwnTable {
        var own = OwnTable()
        for _ in 0..<3 {
            let before = try generation()
            own = try readOwn()
            if try generation() == before { break }
        }
        return own
    }

    private func readOwn() throws(NetfilterError) -> OwnTable {
        var own = OwnTable()
        try ask(Self.getTable) { (table, print) in if table.isOurs { own.prints.insert(print) } }
        guard !own.prints.isEmpty else { return own }
        try ask(Self.getChain) { (chain, print) in
            guard chain.isOurs else { return }
            own.chains.insert(chain.name)
            own.prints.insert(print)
        }
        try ask(Self.getRule, of: (RulesetMessage.inet, Layout.table, nil)) { (rule, print) in
            if rule.isOurs { own.prints.insert(print) }
        }
        // The kernel tells of how many elements a set has, too (Linux 6.16).
        try ask(Self.getSet, of: (RulesetMessage.inet, Layout.table, nil)) { (set, _) in
            if set.isOurs { own.sets.insert(set.name) }
        }
        return own
    }

    /// What is not egressd's.
    ///
    /// Rules are read only of the chains that `earlier` does not know as they are: one that took another's place in the same
    /// transaction is not seen.
    package func foreign(since earlier: ForeignRuleset? = nil) throws(NetfilterError) -> ForeignRuleset {
        var foreign = ForeignRuleset()
        var hasOthers = false
        try ask(Self.getTable) { (table, _) in
            let isOurs = table.isOurs
            foreign.hasOurs = foreign.hasOurs || isOurs
            hasOthers = hasOthers || !isOurs
        }
        guard hasOthers else { return foreign }
        try ask(Self.getChain) { (chain, _) in
            if !chain.isOurs { foreign.chains.append(ForeignRuleset.Chain(chain)) }
        }
        let known = Dictionary(
            (earlier?.chains ?? []).map { ($0.key, $0.effects) },
            uniquingKeysWith: { first, _ in first }
        )
        for index in foreign.chains.indices where foreign.chains[index].uses > 0 {
            let chain = foreign.chains[index]
            if let effects = known[chain.key] {
                foreign.chains[index].effects = effects
                continue
            }
            var effects: RuleEffects = []
            do throws(NetfilterError) {
                try ask(Self.getRule, of: (chain.family, chain.table, chain.name)) { (rule, _) in
                    effects.formUnion(rule.effects)
                }
            } catch  where error.code == NetfilterError.notFound {
                // It was deleted meanwhile.
            }
            foreign.chains[index].effects = effects
        }
        return foreign
    }

    /// Asks and reads the answers: each, and a number for all its bytes.
    private func ask(
        _ type: UInt16,
        isDump: Bool = true,
        of place: (family: UInt8, table: String, chain: String?)? = nil,
        _ body: (RulesetMessage, Int) -> Void,
    ) throws(NetfilterError) {
        sequence &+= 1
        var answers = Answers()
        let result = unsafe withUnsafeMutablePointer(to: &answers) { pointer in
            unsafe enf_ruleset_ask(
                socket,
                sequence,
                type,
                isDump,
                place?.family ?? 0,
                place?.table,
                place?.chain,
                pointer,
            ) { context, type, payload, length in
                let bytes = unsafe UnsafeRawBufferPointer(start: payload, count: length)
                guard let message = RulesetReader.read(type, unsafe bytes.bytes) else { return }
                // Behind the header, which has the number of the generation.
                var hasher = Hasher()
                hasher.combine(type)
                unsafe hasher.combine(bytes: UnsafeRawBufferPointer(rebasing: bytes.dropFirst(4)))
                let print = hasher.finalize()
                unsafe context?.assumingMemoryBound(to: Answers.self).pointee.messages.append((message, print))
            }
        }
        // What changed while it was read has a later generation, and is looked at again.
        if result != -4 { try check(result, "reading the ruleset") }
        for (message, print) in answers.messages { body(message, print) }
    }

    private static func read(_ type: UInt16, _ bytes: RawSpan) -> RulesetMessage? {
        try? RulesetMessage(type: type, bytes)
    }

    private struct Answers {
        var messages: [(RulesetMessage, print: Int)] = []
    }
}

extension RulesetMessage {
    /// Whether it is about egressd's own table.
    package var isOurs: Bool { family == Self.inet && table == Layout.table }

    // NFPROTO_INET of include/uapi/linux/netfilter.h.
    fileprivate static let inet: UInt8 = 1
}

extension ForeignRuleset.Chain {
    fileprivate init(_ message: RulesetMessage) {
        self.init(
            family: message.family,
            table: message.table,
            name: message.name,
            handle: message.handle,
            uses: message.uses,
            hook: message.hook,
            type: message.chainType,
        )
    }
}
