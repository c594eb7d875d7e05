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
    private static let getGeneration: UInt16 = 16

    /// The number of the generation: one more with every transaction that changed something, whoever made it.
    package func generation() throws(NetfilterError) -> UInt32 {
        var generation: UInt32 = 0
        try ask(Self.getGeneration, isDump: false) { generation = $0.generation }
        return generation
    }

    /// What is not egressd's.
    ///
    /// Rules are read only of the chains that `earlier` does not know as they are: one that took another's place in the same
    /// transaction is not seen.
    package func foreign(since earlier: ForeignRuleset? = nil) throws(NetfilterError) -> ForeignRuleset {
        var foreign = ForeignRuleset()
        var hasOthers = false
        try ask(Self.getTable) { table in
            let isOurs = table.isOurs
            foreign.hasOurs = foreign.hasOurs || isOurs
            hasOthers = hasOthers || !isOurs
        }
        guard hasOthers else { return foreign }
        try ask(Self.getChain) { chain in if !chain.isOurs { foreign.chains.append(ForeignRuleset.Chain(chain)) } }
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
                try ask(Self.getRule, of: chain) { effects.formUnion($0.effects) }
            } catch  where error.code == NetfilterError.notFound {
                // It was deleted meanwhile.
            }
            foreign.chains[index].effects = effects
        }
        return foreign
    }

    /// Asks and reads the answers, once more when the ruleset changed meanwhile, at most some times.
    private func ask(
        _ type: UInt16,
        isDump: Bool = true,
        of chain: ForeignRuleset.Chain? = nil,
        _ body: (RulesetMessage) -> Void,
    ) throws(NetfilterError) {
        sequence &+= 1
        var answers = Answers()
        let result = unsafe withUnsafeMutablePointer(to: &answers) { pointer in
            unsafe enf_ruleset_ask(
                socket,
                sequence,
                type,
                isDump,
                chain?.family ?? 0,
                chain?.table,
                chain?.name,
                pointer,
            ) { context, type, payload, length in
                let bytes = unsafe UnsafeRawBufferPointer(start: payload, count: length)
                guard let message = RulesetReader.read(type, unsafe bytes.bytes) else { return }
                unsafe context?.assumingMemoryBound(to: Answers.self).pointee.messages.append(message)
            }
        }
        // What changed while it was read has a later generation, and is looked at again.
        if result != -4 { try check(result, "reading the ruleset") }
        for message in answers.messages { body(message) }
    }

    private static func read(_ type: UInt16, _ bytes: RawSpan) -> RulesetMessage? {
        try? RulesetMessage(type: type, bytes)
    }

    private struct Answers {
        var messages: [RulesetMessage] = []
    }
}

extension RulesetMessage {
    /// Whether it is about egressd's own table.
    package var isOurs: Bool { family == 1 && table == Layout.table }
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
