internal import Broker
internal import Model
internal import Netfilter
internal import Policy
internal import PolicyFiles
internal import Record
internal import Ruleset
internal import System

extension Daemon {
    static func assignments(_ store: Store) throws -> [String: Assignment] {
        try store.workloadNumbers().mapValues { row in
            Assignment(identity: Identity(number: row.number), generation: row.generation)
        }
    }

    /// Takes over from an earlier daemon, whose table may still be in force: what it counted is recorded, its grants go on,
    /// and the new table takes the place of the old in one transaction.
    func adopt() throws {
        let now = Clock.now()
        let isNew = try isStateNew()
        let exists = try table.exists()
        Log.info(
            "kernel: packets are asked about through \(table.features.queueExpression ? "the nft queue expression" : "the NFQUEUE target (no nft queue expression)")"
                + "; the table is \(table.features.ownedTable ? "owned and persists" : "not owned (\(configuration.owner == .off ? "owner: off" : "before Linux 6.9")): what others do to it is put back")",
        )
        isAdopted = exists
        if exists { Log.info("adopting table inet \(Layout.table) of an earlier daemon") }
        try store.saveWorkloadNumbers(
            broker.assignments.mapValues { (number: $0.identity.number, generation: $0.generation) },
            deleting: [],
        )
        let nextRequest = max(try store.nextRequestNumber(), highestRequestAhead + 1)
        broker.restore(try store.requests().map(Self.summary), nextRequest: nextRequest)
        // Without the state nobody knows whose the numbers were.
        let counting = exists ? try countingElements(isNew ? [:] : broker.assignments) : [:]
        let waiting = try recall(counting)
        let counts = try takeCounts(counting)
        let rows = try store.grants()
        let last = try store.lastMoment()
        let grants = rows.filter { $0.state == .active }.compactMap { Self.grant($0, at: now, since: last) }
        let changes = broker.restore(grants, nextGrant: try store.nextGrantNumber(), at: now)
        if let last { noteStart(since: last) }
        probeProcesses()
        let pins = broker.restore(try store.pins().map { Self.summary($0, at: now) }, at: now)
        let elements = broker.elements() + changes + pins + (exists ? knownCgroups() : [])
        let begin = Clock.now()
        try table.install(layout, elements: elements)
        isRedirecting = broker.usesNames
        try table.setRedirecting(isRedirecting, of: layout)
        recordAnswered(waiting, counts)
        judgeWaiting()
        let size = elements.reduce(0) { $0 + $1.add.count }
        Log.info(
            "table inet \(Layout.table): \(size) elements in one transaction, \((Clock.now() - begin).milliseconds) ms"
        )
        if isNew {
            if exists {
                // The numbers on open connections mean nothing without the state that gave them.
                alarm(
                    "the state is new but connections carry stamps of an earlier one: every connection is judged anew"
                )
                try unstampAll()
            }
            try store.setMeta(Self.newState, nil)
        }
        let count = broker.policies.workloads.count
        Log.info(
            "policy in force: \(count) workload\(count == 1 ? "" : "s"), "
                + "\(grants.count) grant\(grants.count == 1 ? "" : "s"), mode \(configuration.mode)",
        )
    }

    /// The key under which it stands that the state is new, from before its first numbers until no connection has older ones:
    /// a start that fails in between must not have the next one take them for its own.
    private static let newState = "new-state"

    private func isStateNew() throws(StoreError) -> Bool {
        guard try store.workloadNumbers().isEmpty else { return try store.meta(Self.newState) != nil }
        try store.setMeta(Self.newState, "yes")
        return true
    }

    /// What the table of an earlier daemon knows of cgroups, resolved anew: what it let through goes on without a question.
    private func knownCgroups() -> [ElementChange] {
        let keys: [[UInt8]]
        do {
            keys = Array(try table.counts(of: "workloads").keys)
        } catch {
            Log.warning("\(error); every cgroup is asked about anew")
            return []
        }
        let facts = keys.compactMap { key -> Facts? in
            guard key.count == 12 else { return nil }
            let id = key[..<8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            let uid = key[8...].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            return place(of: id).map { Facts(cgroup: $0.known.id, path: $0.known.path, uid: uid) }
        }
        return broker.learn(all: facts)
    }
}
