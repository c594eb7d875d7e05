internal import Model
internal import Policy

/// The sets and chains of the table: few, fixed, and the same for every policy.
///
/// Policy is only elements.
package struct Layout: Hashable, Sendable {
    /// The table's name, in the `inet` family.
    package static let table = "egressd"
    /// How deep a cgroup may lie and still be told from its parent; deeper ones are what their ancestor at this depth is.
    package static let depths: ClosedRange<UInt32> = 1...UInt32(CgroupDepth.deepest)
    /// Into how many maps the ranges of all workloads are cut, by the low bits of the workload's number: a commit copies
    /// every interval map it touches.
    package static let shards = 64
    /// Over how many queues the questions are spread, so that one workload cannot fill another's.
    package static let askers = 8

    /// Where the resolver listens unless the configuration says otherwise.
    package static let defaultResolverPort: UInt16 = 8053

    /// The question that a queue asks.
    package enum Question: UInt16, Sendable, CaseIterable {
        /// Which identity sent this? Output, before anything else; a request for a name before it is redirected.
        case sender = 0
        /// Which identity would receive this? Input.
        case receiver = 1
        /// May the peer open this connection to a workload? Input.
        case inbound = 2
        /// May the sender reach this local socket? Input, from loopback.
        case loopback = 3
        /// May this be forwarded?
        case forward = 4
        /// May this go out as an answer? Output, reply direction, without a valid stamp.
        case reply = 5
        /// Who sends this, which belongs to no connection? Output: what conntrack calls invalid, related or untracked.
        case unmarked = 6
        /// May this go out?
        case outbound = 7
        /// Is this the first flight that was expected? Output, state `inspecting`.
        case flight = 15
        /// May the server say this before its client has proved anything? Input, state `inspecting`.
        case greeting = 23
    }

    /// The first number of consecutive queues (`queues`), and of two log groups.
    package let firstQueue: UInt16
    /// Nothing is refused by a rule of the table itself.
    package let observesOnly: Bool

    /// The port of 127.0.0.1 and ::1 that requests for names are redirected to.
    package let resolverPort: UInt16

    package init(firstQueue: UInt16, observesOnly: Bool, resolverPort: UInt16 = defaultResolverPort) {
        self.firstQueue = firstQueue
        self.observesOnly = observesOnly
        self.resolverPort = resolverPort
    }

    /// The queues in use.
    package var queues: ClosedRange<UInt16> {
        firstQueue...queue(.greeting)
    }

    /// The question of a queue.
    package func question(ofQueue number: UInt16) -> Question {
        let offset = number &- firstQueue
        return Question.allCases.last { $0.rawValue <= offset } ?? .outbound
    }

    /// The log group of connections that the maps let through.
    package var allowedGroup: UInt16 { firstQueue }
    /// The log group of packets that a rule of the table refused.
    package var refusedGroup: UInt16 { firstQueue + 1 }

    /// The number of the map that holds an identity's ranges.
    package static func shard(of identity: Identity) -> Int { Int(identity.number) % shards }

    package static func suffix(_ family: Field.Family) -> String { family == .v4 ? "4" : "6" }
}

extension Layout {
    /// The sets and maps, in the order in which they are made.
    package var sets: [SetDefinition] {
        var sets: [SetDefinition] = [
            SetDefinition("workloads", key: [.cgroup, .uid], data: .mark),
            SetDefinition("senders", key: [.cgroup, .uid, .mark]),
            SetDefinition("owners", key: [.cgroup], data: .mark),
            SetDefinition("residents", key: [.cgroup, .mark]),
            SetDefinition("strangers", key: [.cgroup]),
            SetDefinition("roots", key: [.cgroup]),
            SetDefinition("ported", key: [.transport]),
            SetDefinition("resolving", key: [.service]),
            // Three states of every identity there can be.
            SetDefinition("current", key: [.mark], size: 3 << 16),
            SetDefinition("stamps", key: [.mark], data: .mark),
            SetDefinition("open", key: [.mark]),
            SetDefinition("free", key: [.mark]),
            // Who was refused too often: by whom it is asked, and who is asked for.
            SetDefinition("floods", key: [.mark], counts: true),
            SetDefinition("sieges", key: [.mark], counts: true),
            SetDefinition("shards4", key: [.mark], data: .verdict),
            SetDefinition("shards6", key: [.mark], data: .verdict),
            SetDefinition("listens4", key: [.mark], data: .verdict),
            SetDefinition("listens6", key: [.mark], data: .verdict),
            SetDefinition("askers", key: [.mark], data: .verdict),
            SetDefinition("inspectors", key: [.mark], data: .verdict),
        ]
        for family in Field.Family.allCases {
            let suffix = Self.suffix(family)
            let address: SetDefinition.FieldType = family == .v4 ? .ipv4 : .ipv6
            let request: [SetDefinition.FieldType] = [.mark, address, .transport, .service]
            // What changes with every request holds marks, not verdicts: for each element with a `goto` the kernel looks
            // through the whole table again (Linux 6.18).
            sets += [
                SetDefinition("pins\(suffix)", key: request, hasTimeout: true),
                SetDefinition("grants\(suffix)", key: request, hasTimeout: true),
                SetDefinition("hosts\(suffix)", key: request),
                SetDefinition("answers\(suffix)", key: request + [.service], data: .mark, hasTimeout: true),
                SetDefinition("arrivals\(suffix)", key: request + [.service], data: .mark, hasTimeout: true),
                SetDefinition("denied\(suffix)", key: request, counts: true),
                SetDefinition("knocks\(suffix)", key: request, counts: true),
                SetDefinition("seen\(suffix)", key: request, counts: true),
                SetDefinition("lately\(suffix)", key: request, data: .mark, counts: true),
                SetDefinition("others\(suffix)", key: [.mark, address, .transport], data: .mark, counts: true),
            ]
            for shard in 0..<Self.shards {
                sets.append(SetDefinition("rules\(suffix)_\(shard)", key: request, isInterval: true))
                sets.append(SetDefinition("listen\(suffix)_\(shard)", key: request, isInterval: true))
            }
        }
        return sets
    }

    /// The elements that never change.
    package var constants: [ElementChange] {
        func marks(_ count: Int, _ chain: (Int) -> SetElement.Data) -> [SetElement] {
            (0..<count).map { index in
                var key = Key(capacity: 4)
                key.host(UInt32(index) << 16)
                return SetElement(key: key.bytes, data: chain(index))
            }
        }
        let ported = [Transport.tcp, .udp].map { SetElement(key: [$0.number]) }
        let resolving = Set([Self.domain, resolverPort]).sorted().map {
            SetElement(key: [UInt8($0 >> 8), UInt8($0 & 255)])
        }
        var kernel = Key(capacity: 4)
        kernel.host(Stamp(.kernel, generation: 0, .allowed).mark)
        return [
            ElementChange(set: "ported", add: ported),
            ElementChange(set: "resolving", add: resolving),
            ElementChange(set: "current", add: [SetElement(key: kernel.bytes)]),
            ElementChange(set: "shards4", add: marks(Self.shards) { .jump("rules4_\($0)") }),
            ElementChange(set: "shards6", add: marks(Self.shards) { .jump("rules6_\($0)") }),
            ElementChange(set: "listens4", add: marks(Self.shards) { .jump("listen4_\($0)") }),
            ElementChange(set: "listens6", add: marks(Self.shards) { .jump("listen6_\($0)") }),
            ElementChange(set: "askers", add: marks(Self.askers) { .goto("ask_\($0)") }),
            ElementChange(set: "inspectors", add: marks(Self.askers) { .goto("inspect_\($0)") }),
        ]
    }

    /// All bits of the identity that are 0 below the first workload's number.
    static let workloadMask = ~(UInt32(Identity.firstWorkload) - 1) << 16
    static let shardMask = UInt32(shards - 1) << 16
    static let askerMask = UInt32(askers - 1) << 16
}
