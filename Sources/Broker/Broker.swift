package import Model
package import Policy
package import Ruleset
package import Wire

/// Judges every request that the kernel cannot settle alone.
///
/// A pure state machine: events come in with the time, actions go out, and the daemon performs them. It reads no clock, no
/// kernel and no file, so a test can play any interleaving.
package struct Broker {
    package struct Settings: Hashable, Sendable {
        package enum Unidentified: String, Hashable, Sendable {
            case allow, observe, deny
        }

        /// Nothing is refused, everything is recorded.
        package var observesOnly: Bool
        package var unidentified: Unidentified
        /// Where the daemon itself may go: its name servers.
        package var upstreams: Set<Destination>
        /// The cgroup of the daemon, when it has one for itself.
        package var daemonCgroup: String?
        /// The port of the workloads' resolver on 127.0.0.1 and ::1.
        package var resolverPort: UInt16
        /// How many different names below its wildcards a workload may ask for within an hour.
        package var nameBudget: Int

        package init(
            observesOnly: Bool = false,
            unidentified: Unidentified = .observe,
            upstreams: Set<Destination> = [],
            daemonCgroup: String? = nil,
            resolverPort: UInt16 = Layout.defaultResolverPort,
            nameBudget: Int = 4096,
        ) {
            self.resolverPort = resolverPort
            self.nameBudget = nameBudget
            self.observesOnly = observesOnly
            self.unidentified = unidentified
            self.upstreams = upstreams
            self.daemonCgroup = daemonCgroup
        }
    }

    /// How long repetitions of a settled request are left to the kernel.
    package static let window = Instant.Span.seconds(10)
    static var windowSeconds: Int64 { window.nanoseconds / 1_000_000_000 }
    /// How long an answer to one attempt stays in the kernel, in milliseconds.
    static let answerLifetime: UInt64 = 2000
    /// At most this many windows are open for one identity; what is beyond is judged one by one.
    static let windowLimit = 1024
    /// At most this many held flows a workload.
    package static let holdLimit = 64
    /// A packet that comes back to the same question this often is dropped.
    static let repeatLimit = 16
    /// How long a packet may have waited before it was read.
    static let unreadTime = Instant.Span.seconds(1)
    /// At most this many packets can have waited when an element came into force: the length of a queue.
    static let queueLength = 4096

    struct Cgroup {
        let path: String
        var senders: [UInt32: Assignment] = [:]
        var receiver: Assignment?
        var asked = 0
    }

    struct Hold {
        /// What waits, by its other port; nothing after a reload that gave a cgroup to another identity, until it is sent again.
        var packets: [UInt16: PacketReference]
        var question: PacketQuestion
        var deadline: Instant
        var event: Event
    }

    struct Attempt: Hashable {
        let kind: Layout.Question
        let identity: Identity
        let destination: Destination
        let port: UInt16
    }

    let cryptography: any Cryptography
    package internal(set) var settings: Settings
    package internal(set) var policies: PolicySet
    package internal(set) var assignments: [String: Assignment]
    var names: [UInt16: String] = [:]
    /// The last generations of numbers that no workload has now.
    var retired: [UInt16: UInt8] = [:]
    var cgroups: [UInt64: Cgroup] = [:]
    package internal(set) var grants: [Int64: Grant] = [:]
    var nextGrant: Int64 = 1
    /// What the kernel has of the grants in force.
    var grantElements: [Int64: GrantElement] = [:]
    var requests = RequestLedger()
    var holds: [Window.Key: Hold] = [:]
    var heldFlows: [Identity: Int] = [:]
    var windows: [Window.Key: Window] = [:]
    var openWindows: [Identity: Int] = [:]
    var attempts: [Attempt: (count: Int, until: Instant, state: Stamp.State)] = [:]
    var attemptsForgotten = Instant(nanoseconds: 0)
    /// Cgroups that a reload gave to another identity, and until when packets may come that bear the stamp of the old one.
    var movedCgroups: [UInt64: Instant] = [:]
    /// The identities that lost a cgroup by a reload, and until when packets may come that still bear their stamp.
    var leftIdentities: [Identity: Instant] = [:]
    var scans: [Identity: ScanDetector] = [:]
    /// How fast each identity was refused lately, by the window that would refuse all.
    var refusals: [Window.Key: RefusalMeter] = [:]
    /// Beyond this what is refused is not told of one by one.
    var refusalRate = RefusalRate()
    var programs = ProgramMemory()
    /// The workloads with a rule that allows a name.
    var named: Set<String> = []
    var nameScans: [Identity: NameScanDetector] = [:]
    var nameWindows: [NameWindow.Key: NameWindow] = [:]
    var nameBudgets: [Identity: NameBudget] = [:]
    /// What was decided of names, until something changes.
    var knownNames: [Identity: [DNSQuestion: Decision]] = [:]
    var flows = FlowTable()
    var flightWindows: [Identity: [FlightWindow.Key: FlightWindow]] = [:]
    var pins: [String: PinTable] = [:]
    var pinsDue = Agenda<PinKey>()
    /// Of the pins that were taken up: what is to be stored otherwise.
    var endedMeanwhile: (saved: [PinSummary], dropped: [PinSummary]) = ([], [])
    var reminders: [Reminder: Instant] = [:]
    var remindersDue = Agenda<Reminder>()
    /// Packets that were dropped without an event: the last ones of closed sockets, and those that met no answer.
    package internal(set) var orphans: UInt64 = 0
    /// Wall clock minus monotonic clock, in nanoseconds: given with every event so that the broker reads no clock.
    var wallOffset: Int64 = 0

    /// The assignments of identities that are no workloads, under names that no workload can have.
    static let reserved: [(name: String, identity: Identity)] = [
        ("*unidentified", .unidentified), ("*egressd", .daemon), ("*foreign-user", .foreignUser),
        ("*forwarded", .forwarded),
    ]

    /// A broker with nothing learned yet.
    ///
    /// `assignments` are those of an earlier daemon: numbers and generations go on, so that the stamps of open connections
    /// stay valid.
    package init(
        settings: Settings,
        policies: PolicySet,
        assignments: [String: Assignment] = [:],
        cryptography: any Cryptography,
    ) {
        self.settings = settings
        self.cryptography = cryptography
        self.policies = policies
        self.assignments = [:]
        for (name, identity) in Self.reserved {
            self.assignments[name] = assignments[name] ?? Assignment(identity: identity, generation: 1)
        }
        for workload in policies.workloads {
            if let known = assignments[workload.name] { self.assignments[workload.name] = known }
        }
        var free = Identity.firstWorkload
        // A number that belonged to another workload may still be on open connections.
        var taken = Set((Array(self.assignments.values) + Array(assignments.values)).map(\.identity.number))
        for workload in policies.workloads where self.assignments[workload.name] == nil {
            guard let number = Self.nextFree(&free, &taken) else { break }
            self.assignments[workload.name] = Assignment(identity: Identity(number: number), generation: 1)
        }
        for (name, assignment) in self.assignments { names[assignment.identity.number] = name }
        for (name, gone) in assignments where self.assignments[name] == nil {
            retired[gone.identity.number] = gone.generation
        }
        named = Set(policies.workloads.lazy.filter(\.usesNames).map(\.name))
    }

    static func nextFree(_ candidate: inout UInt16, _ taken: inout Set<UInt16>) -> UInt16? {
        while taken.contains(candidate) {
            guard candidate < .max else { return nil }
            candidate += 1
        }
        taken.insert(candidate)
        return candidate
    }

    /// Every element that the policy in force asks for, for the first transaction.
    package func elements() -> [ElementChange] {
        var changes: [ElementChange] = []
        for assignment in assignments.values { changes += Elements.assignment(assignment) }
        for workload in policies.workloads {
            guard let assignment = assignments[workload.name] else { continue }
            changes += Elements.policy(of: workload, identity: assignment.identity)
        }
        changes += modes(settings)
        changes.append(ElementChange(set: "roots", add: [Elements.member(cgroup: 1)]))
        changes.append(ElementChange(set: "strangers", add: [Elements.member(cgroup: 1)]))
        return changes
    }

    /// The elements that the host's settings ask for.
    func modes(_ settings: Settings) -> [ElementChange] {
        let open: [Identity] = settings.unidentified == .allow ? [.unidentified, .forwarded] : []
        let upstreams = [true, false].map { isV4 in
            ElementChange(
                set: isV4 ? "hosts4" : "hosts6",
                add: settings.upstreams.filter { $0.address.isV4 == isV4 }.map { Elements.request(.daemon, $0) },
            )
        }
        return upstreams.filter { !$0.add.isEmpty } + [
            ElementChange(set: "open", add: open.map(Elements.member)),
            // What belongs to nobody reaches what belongs to nobody on the same host.
            ElementChange(set: "free", add: [Elements.member(Identity.unidentified)]),
        ]
    }

    /// What events call the daemon itself.
    package static let ownName = "egressd"

    /// The name that events carry for an identity; nil for what is no workload.
    func workloadName(_ identity: Identity) -> String? {
        switch identity {
        case .daemon: Self.ownName
        case _ where identity.isWorkload: names[identity.number]
        default: nil
        }
    }

    /// The number and generation that an identity has now.
    package func assignment(_ identity: Identity) -> Assignment {
        names[identity.number].flatMap { assignments[$0] } ?? Assignment(identity: identity, generation: 1)
    }

    /// Sets the wall clock that events are dated with.
    package mutating func setClock(wall: WallTime, at now: Instant) {
        wallOffset = wall.microseconds * 1000 - now.nanoseconds
    }

    func wall(_ now: Instant) -> WallTime { WallTime(microseconds: (now.nanoseconds + wallOffset) / 1000) }

    /// When `letGo` is due; nil when nothing waits for that.
    package var promptDeadline: Instant? { flows.earliestLettingGo }

    /// When `tick` is next due; nil when nothing waits for a time.
    package var nextDeadline: Instant? {
        var next: Instant?
        func note(_ deadline: Instant) { if next.map({ deadline < $0 }) ?? true { next = deadline } }
        for window in windows.values { note(window.closes) }
        for hold in holds.values { note(hold.deadline) }
        for grant in grants.values where grant.state == .active { note(grant.expiry) }
        for window in nameWindows.values { note(window.closes) }
        if let due = pinsDue.earliest { note(due) }
        if !endedMeanwhile.saved.isEmpty || !endedMeanwhile.dropped.isEmpty { note(Instant(nanoseconds: 0)) }
        if let due = remindersDue.earliest { note(due) }
        if let due = flows.earliest { note(due) }
        for windows in flightWindows.values { for window in windows.values { note(window.closes) } }
        return next
    }
}
