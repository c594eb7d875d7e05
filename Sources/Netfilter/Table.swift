// The coexistence contract.
//
// * One table, `inet egressd`; its base chains are `identify` (output, 0), `inbound` (input, 0) and `forward` (forward, 0),
//   all of policy drop, and, while a policy or an approval has names, `names` (nat output, -110) and `strays`
//   (postrouting, 0), of policy accept. Nobody else's table, chain or rule is touched.
// * A workload's connections to port 53 are redirected to the resolver's port on 127.0.0.1 and ::1 (8053), before the
//   nat chains of others see them. Nobody else's connection is translated. What others translate in output (kube-proxy,
//   Docker) is judged by where it goes, when it is opened and whenever it is looked at again.
// * The connection mark of every connection of the host is ours (``Stamp``): a foreign rule that sets it (CONNMARK, `ct mark
//   set`) makes the connection unknown, which is refused, unless it sets a stamp that is valid; either is an alarm
//   (``ForeignRuleset``). Routing rules are left alone, and so are packet marks but for one: a packet that reaches the
//   resolver's port over loopback gets the connection's mark (input hook, after routing), in place of what its sender set.
// * Queues `queue`…`queue + 23` and the log groups `queue` and `queue + 1` of the configuration.
// * Where the kernel has both flags (6.9 and later) the table is owned and persists: others can neither flush nor delete it,
//   and it outlives the daemon. Elsewhere what others do to it is heard at once (``RulesetWatch``) and put back; what was not
//   heard is looked for (``OwnTable``), and only what differs from what was put in force is an alarm.
// * A new daemon adopts the table in one transaction; a daemon whose owner lives is refused by the kernel. The sockets that
//   own the table, the queues and the log groups are kept by the service manager over a restart (`table`, `queues`, `log`):
//   until the service is stopped for good nobody else can have them, and packets wait.
//
// What the kernel taught (Linux 6.18, libnftnl 1.2.4, nft 1.0.6):
//
// * An element with a `goto` or `jump` makes the kernel validate the whole table, every element of every verdict map included:
//   540 µs a commit with some thousand elements. Maps that change with requests hold marks.
// * The type of a concatenation has 6 bits a field in 32: five fields at most, or `nft list` shows nonsense.
// * Without the byte orders in a set's user data `nft list` shows marks the wrong way round; with one for a verdict map it
//   aborts. The key of a set of one field is not padded: 4 bytes for `inet_proto` abort it too.
// * A packet that conntrack calls invalid has no entry: every `ct mark` expression ends its rule, `ct mark set` does nothing.
// * A packet that was queued comes back with its socket closed when the program closed it meanwhile: no user any more, but
//   the cgroup still. Only what has no cgroup either is the kernel's own.
// * A packet that waits in a queue of a nat chain goes through that chain again when the answer is REPEAT, and is translated.
// * To later chains of the output hook a redirected packet goes out by its old device; and where the socket is bound to a
//   device, an IPv4 packet really does: it went on the wire with the destination 127.0.0.1. Only postrouting sees that.
// * Two connections of one socket that are redirected to one port differ in nothing but their source port: the kernel
//   changes one. The socket's own port is in conntrack's original direction.
// * A socket that was kept has the answers and the rest of a dump that the dead process did not read: they are read away
//   before anything is asked. A queue's socket has messages of packets; an acknowledgement finds no room behind 16 MB of them.
// * NFQNL_MSG_VERDICT_BATCH sends packets through the rules again that come back with new numbers, while messages with their
//   old ones may still wait in the socket: everything up to the last number before is forgotten.
// * What waits in a queue is told by /proc/self/net/netfilter alone, and a /proc mounted with subset=pid hides it.
// * The single answer to IPCTNL_MSG_CT_GET carries NLM_F_MULTI, and no NLMSG_DONE follows: ask for an acknowledgement.
// * While anybody listens to NFNLGRP_NFTABLES every element that changes becomes a message of 4 KiB, kept until the end of the
//   transaction: 2 µs each, and 100,000 elements take five times as long. Unheard it costs nothing.
// * When the last base chain goes, connection tracking ends, but its entries and their marks stay: open connections are
//   known again. What is opened meanwhile has no entry, and begins one in its middle, without a mark.
// * A chain of the same priority that is added later comes first.
// * The echo of a removed element (NLM_F_ECHO) has its last counter and the sequence number 0.
// * A transaction that is refused takes 8 to 16 ms, however small it is (one that is taken 3 µs): the kernel waits until nobody
//   reads what it undoes. It looks at all of the messages before it gives up, and tells of each that it refuses.
internal import CNetfilter
package import Ruleset

/// What the kernel can do, as tried at start.
package struct Features: Hashable, Sendable {
    /// The `queue` expression; else the xt target through nft_compat.
    package var queueExpression: Bool
    /// Table flags owner and persist (6.9 and later).
    package var ownedTable: Bool

    package init(queueExpression: Bool, ownedTable: Bool) {
        self.queueExpression = queueExpression
        self.ownedTable = ownedTable
    }
}

/// The table in the kernel.
///
/// Changes are transactions: all of one, or nothing. Not thread-safe.
package final class Table {
    let socket: Int32
    let transaction: Transaction
    package let features: Features
    /// Who hears what others do to the table; does not listen during transactions with many elements.
    package var watch: RulesetWatch?
    /// Whether it does: nothing is missed then, and the kernel keeps 4 KiB for each element until the end.
    package var listensThrough = false

    // NFT_TABLE_F_OWNER and NFT_TABLE_F_PERSIST of include/uapi/linux/netfilter/nf_tables.h.
    static let owner: UInt32 = 0x2
    static let persist: UInt32 = 0x4
    static let ownerAndPersist = owner | persist
    static let inet: UInt8 = 1

    /// For the service manager to keep: as long as anybody has it, the table has its owner.
    package var descriptor: Int32 { socket }
    /// Whether the socket is that of an earlier process.
    package let isKept: Bool
    /// Why a socket that was kept is not used.
    package let refusal: String?

    // Answers to a large transaction are many.
    private static let receiveBuffer: UInt32 = 16 << 20

    /// Opens the netlink socket that will own the table, unless it is not to, or takes one over that owned it for an earlier
    /// process, and tries what the kernel can do.
    package init(owns: Bool = true, kept: [Int32] = []) throws(NetfilterError) {
        let (found, refusal) = KeptSocket.choose(kept, buffer: Self.receiveBuffer)
        self.refusal = refusal
        self.isKept = found != nil
        let socket: Int32
        if let found {
            socket = found.descriptor
        } else {
            socket = try check(enf_open(KeptSocket.netfilter, Self.receiveBuffer), "opening a netfilter socket")
        }
        self.socket = socket
        // What the earlier process asked for and did not read is no answer to what this one asks.
        if isKept { enf_discard(socket) }
        do throws(NetfilterError) {
            self.features = try Self.probe(socket, owns: owns)
        } catch {
            enf_close(socket)
            throw error
        }
        self.transaction = Transaction(usesQueueExpression: features.queueExpression)
    }

    deinit { enf_close(socket) }

    /// Makes a table of another name for a moment, once for every feature.
    private static func probe(_ socket: Int32, owns: Bool) throws(NetfilterError) -> Features {
        let name = "egressd-probe"
        func tries(flags: UInt32, queueExpression: Bool?) throws(NetfilterError) -> NetfilterError? {
            let transaction = Transaction(table: name, usesQueueExpression: queueExpression ?? false)
            transaction.addTable(flags: flags)
            if queueExpression != nil {
                transaction.addChain(ChainDefinition("probe", []))
                transaction.addRule(RuleLine(then: .queue(0)), to: "probe")
            }
            transaction.deleteTable()
            do throws(NetfilterError) {
                try transaction.commit(socket, "probing the kernel")
                return nil
            } catch  where error.isPassing {
                // Not a kernel without the feature, which would be done without for as long as the daemon runs.
                throw error
            } catch {
                return error
            }
        }
        if let error = try tries(flags: 0, queueExpression: nil) { throw error }
        let expression = try tries(flags: 0, queueExpression: true)
        if expression != nil, let error = try tries(flags: 0, queueExpression: false) {
            throw NetfilterError(
                code: error.code,
                operation: "the kernel has neither the nft queue expression nor the NFQUEUE target (CONFIG_NFT_QUEUE, "
                    + "CONFIG_NETFILTER_XT_TARGET_NFQUEUE); without one nothing can be judged",
            )
        }
        return Features(
            queueExpression: expression == nil,
            ownedTable: try owns ? tries(flags: ownerAndPersist, queueExpression: nil) == nil : false,
        )
    }

    /// Whether the table is there, made by an earlier daemon.
    package func exists() throws(NetfilterError) -> Bool { try flags() != nil }

    /// The table's NFT_TABLE_F_*; nil when there is none.
    private func flags() throws(NetfilterError) -> UInt32? {
        var flags: UInt32 = 0
        let result = unsafe enf_table_get(socket, Self.inet, Layout.table, &flags)
        if result == -NetfilterError.notFound { return nil }
        try check(result, "looking for table inet \(Layout.table)")
        return flags
    }

    /// Puts the table in force in one transaction, whatever was there: no packet meets half of it.
    ///
    /// Sets keep their identity and get their elements anew, rules are replaced. When an earlier version's sets differ,
    /// the table is made anew in the same transaction; so it is with `isAnew`, which leaves nothing of others in it.
    package func install(
        _ layout: Layout,
        elements: [ElementChange],
        isAnew: Bool = false,
    ) throws(NetfilterError) {
        do throws(NetfilterError) {
            try install(layout, elements: elements, over: isAnew ? .ours : nil)
        } catch  where error.code == NetfilterError.exists || error.code == NetfilterError.busy || error.code == 22 {
            guard try exists() else { throw error }
            try install(layout, elements: elements, over: .ours)
        } catch  where error.code == NetfilterError.notSupported || error.code == NetfilterError.notPermitted {
            guard let flags = try flags(), error.code == NetfilterError.notSupported || !features.ownedTable else {
                throw error
            }
            try install(layout, elements: elements, over: flags & Self.owner == 0 ? .somebodys : .owned)
        }
    }

    /// A table that stands and is made anew.
    private enum Standing {
        /// Adopted first: the kernel refuses to delete it even when its owner is gone.
        case ours
        /// Made with an owner, which it is not to have any more.
        case owned
        /// Made without an owner, which cannot be changed.
        case somebodys
    }

    private func install(
        _ layout: Layout,
        elements: [ElementChange],
        over standing: Standing?,
    ) throws(NetfilterError) {
        let flags = features.ownedTable ? Self.ownerAndPersist : 0
        if standing != .somebodys { transaction.addTable(flags: standing == .owned ? Self.ownerAndPersist : flags) }
        if standing != nil {
            transaction.deleteTable()
            transaction.addTable(flags: flags)
        }
        let sets = layout.sets
        for set in sets { transaction.addSet(set) }
        let chains = layout.chains
        for chain in chains { transaction.addChain(chain) }
        for chain in chains { transaction.flushRules(of: chain.name) }
        for set in sets { transaction.flushElements(of: set.name) }
        for change in layout.constants + elements { transaction.change(change) }
        for chain in chains {
            for rule in chain.rules { transaction.addRule(rule, to: chain.name) }
        }
        do throws(NetfilterError) {
            try commit("installing table inet \(Layout.table)")
        } catch {
            // What may not be done at all was refused to the probe already.
            throw NetfilterError(code: error.code, operation: error.operation, isTaken: true)
        }
    }

    /// Takes the table away, and with it every refusal; nothing when there is none.
    ///
    /// An owned table must be adopted first: the kernel refuses to delete it even when its owner is gone.
    package func remove() throws(NetfilterError) {
        guard try exists() else { return }
        do throws(NetfilterError) {
            transaction.addTable(flags: features.ownedTable ? Self.ownerAndPersist : 0)
            transaction.deleteTable()
            try commit("removing table inet \(Layout.table)")
        } catch  where error.code == NetfilterError.notSupported {
            // Somebody made it without an owner; who has none needs no adoption.
            transaction.deleteTable()
            try commit("removing table inet \(Layout.table)")
        }
    }

    /// Begins or ends the redirection of requests for names; nothing when it is as it should be.
    ///
    /// A transaction of its own: to unhook a base chain takes the kernel milliseconds, after the new generation has begun
    /// and before the interval sets are what they should be (Linux 6.18): what they allow would not be found meanwhile.
    package func setRedirecting(_ isOn: Bool, of layout: Layout) throws(NetfilterError) {
        for chain in layout.redirecting {
            if isOn { transaction.addChain(chain) }
            transaction.flushRules(of: chain.name)
            guard isOn else {
                transaction.deleteChain(chain.name)
                continue
            }
            for rule in chain.rules { transaction.addRule(rule, to: chain.name) }
        }
        do throws(NetfilterError) {
            try commit("\(isOn ? "beginning" : "ending") the redirection of requests for names")
        } catch {
            guard !isOn, error.code == NetfilterError.notFound else { throw error }
        }
    }

    /// Changes elements in one transaction: all, or none.
    package func apply(_ changes: [ElementChange]) throws(NetfilterError) {
        for change in changes { transaction.change(change) }
        guard !transaction.isEmpty else { return }
        try commit("changing elements of table inet \(Layout.table)")
    }

    /// Replaces all elements of these sets, and changes others, in one transaction.
    package func replace(_ sets: [String], _ changes: [ElementChange]) throws(NetfilterError) {
        for set in sets { transaction.flushElements(of: set) }
        try apply(changes)
    }
}
