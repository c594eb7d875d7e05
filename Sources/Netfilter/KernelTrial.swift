internal import CNetfilter
package import Coverage
internal import Ruleset

/// Tries what the kernel can do and changes nothing: every transaction ends with a message that the kernel refuses, so
/// that none of it is ever in force.
///
/// Needs CAP_NET_ADMIN. The kernel may load modules for it, as it does for the daemon.
package struct KernelTrial: ~Copyable {
    private let socket: Int32
    fileprivate static let table = "egressd-trial"

    package init() throws(NetfilterError) {
        // NETLINK_NETFILTER of include/uapi/linux/netlink.h.
        socket = try check(enf_open(12, 0), "opening a netfilter socket")
    }

    deinit { enf_close(socket) }

    /// What a daemon needs of nftables.
    package func features() -> KernelFeatures {
        var features = KernelFeatures()
        features.question = question()
        features.ownedTables = tries { transaction in
            transaction.addTable(flags: Table.ownerAndPersist)
        }
        features.socketCgroup = rule(RuleLine(.cgroupExists(level: 1), then: .accept), usesQueueExpression: true)
        features.egressHook = tries { transaction in
            transaction.addEgressChain(device: "lo")
        }
        return features
    }

    private func question() -> Known<KernelFeatures.Question> {
        switch rule(RuleLine(then: .queue(0)), usesQueueExpression: true) {
        case .unknown(let why): return .unknown(why)
        case .known(true): return .known(.queueExpression)
        case .known(false): break
        }
        return rule(RuleLine(then: .queue(0)), usesQueueExpression: false).map { $0 ? .queueTarget : .none }
    }

    private func rule(_ rule: RuleLine, usesQueueExpression: Bool) -> Known<Bool> {
        tries(usesQueueExpression: usesQueueExpression) { transaction in
            transaction.addTable(flags: 0)
            transaction.addChain(ChainDefinition("trial", []))
            transaction.addRule(rule, to: "trial")
        }
    }

    /// Whether the kernel takes all messages but the last, which deletes what is not there.
    private func tries(usesQueueExpression: Bool = false, _ build: (Transaction) -> Void) -> Known<Bool> {
        let transaction = Transaction(table: Self.table, usesQueueExpression: usesQueueExpression)
        build(transaction)
        return transaction.isTakenButForItsEnd(socket)
    }
}

extension Transaction {
    /// Adds a message that the kernel refuses, and tells whether it refuses none before.
    fileprivate func isTakenButForItsEnd(_ socket: Int32) -> Known<Bool> {
        defer { reset() }
        must(unsafe enf_table_delete(batch, NetfilterFamily.inet, KernelTrial.table + "-absent"))
        var index: UInt32 = 0
        let last = unsafe enf_batch_count(batch) - 1
        let result = unsafe enf_batch_commit(batch, socket, &index, nil)
        guard result != -NetfilterError.notPermitted else { return .unknown("not permitted: run as root") }
        guard index != .max else {
            return .unknown(NetfilterError(code: -result, operation: "trying the kernel").description)
        }
        return .known(index == last)
    }

    /// A chain at the egress hook of a device, in a table of the netdev family.
    fileprivate func addEgressChain(device: String) {
        must(unsafe enf_table_add(batch, NetfilterFamily.netdev, KernelTrial.table, 0))
        must(unsafe enf_egress_chain_add(batch, KernelTrial.table, "trial", device))
    }
}

/// NFPROTO_* of include/uapi/linux/netfilter.h.
private enum NetfilterFamily {
    static let inet: UInt8 = 1
    static let netdev: UInt8 = 5
}
