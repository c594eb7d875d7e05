internal import Inspection
package import Model
internal import Policy
internal import Ruleset
internal import Wire

/// A connection by both its ends: this host's and the one asked for.
package struct FlowKey: Hashable, Sendable {
    package let local: IPAddress
    package let localPort: UInt16
    package let destination: Destination

    package init(local: IPAddress, localPort: UInt16, destination: Destination) {
        self.local = local
        self.localPort = localPort
        self.destination = destination
    }

    init(_ question: PacketQuestion) {
        self.init(local: question.source, localPort: question.otherPort, destination: question.destination)
    }
}

/// A connection that may begin and has not proved yet what it is.
struct Flow {
    let identity: Identity
    /// Who opened it.
    let sender: Facts
    /// What was decided when it began: with the protocols of which one must be spoken, or `observe`.
    let decision: Decision
    var deadline: Instant
    /// When the first packet that is held came.
    var arrived: Instant?
    /// What its client sends over TCP; nil over UDP.
    var stream: StreamReassembler?
    /// What its server says before its client has proved anything.
    var greeting: StreamReassembler?
    var reader: FlightReader
    /// The packets that wait, in the order in which they came.
    var held: [PacketReference] = []

    var isObserved: Bool { decision.verdict == .observe }

    /// How many bytes are kept of it.
    var size: Int { (stream?.heldBytes ?? 0) + (greeting?.heldBytes ?? 0) }
}

/// The connections whose first flights are awaited, with bounds for each identity.
struct FlowTable {
    /// At most this many connections of an identity wait for their first flight.
    static let limit = 4096
    /// At most this many packets of an identity are held; a queue of the kernel has room for 16 times as many.
    static let heldLimit = 256
    /// At most this many bytes of an identity are kept.
    static let sizeLimit = 8 << 20
    /// How long a first flight may take.
    static let patience = Instant.Span.seconds(10)
    /// At most this many packets come late.
    private static let lateLimit = 256
    /// How long after a verdict packets may come that had met the rules before it.
    static let aftermath = Instant.Span.seconds(2)

    private var flows: [FlowKey: Flow] = [:]
    private var counts: [Identity: Int] = [:]
    private var held: [Identity: Int] = [:]
    private var sizes: [Identity: Int] = [:]
    private var due = Agenda<FlowKey>()
    /// Which keys are on the agenda: a flow is put back with every segment, and stands there once.
    private var scheduled: Set<FlowKey> = []
    /// Connections that were judged a moment ago, and whether they pass: what of them waited in the queue meanwhile is the
    /// same.
    private var settled: [FlowKey: (passes: Bool, left: Int, until: Instant)] = [:]
    private var forgotten = Agenda<FlowKey>()
    /// The flows with segments that do not make a first flight, in the order in which they are dropped.
    private var lettingGo: [(due: Instant, key: FlowKey)] = []
    /// Flows of datagrams that were let through a moment ago: what of them waited in the queue meanwhile belongs to them.
    private var passed: [FlowKey: (stamp: Stamp, until: Instant)] = [:]
    /// Flows of datagrams that have proved what they are, and until when they may go on without.
    private var proved: [Identity: [FlowKey: Instant]] = [:]

    var earliest: Instant? {
        [due.earliest, forgotten.earliest].compactMap(\.self).min()
    }

    subscript(_ key: FlowKey) -> Flow? { flows[key] }

    var isEmpty: Bool { flows.isEmpty }

    /// Whether there is room for one more connection of an identity.
    func hasRoom(_ identity: Identity) -> Bool { counts[identity, default: 0] < Self.limit }

    /// Whether one more packet of an identity may be held, and its bytes kept.
    func mayHold(_ identity: Identity, besides own: Flow) -> Bool {
        held[identity, default: 0] + own.held.count < Self.heldLimit
            && sizes[identity, default: 0] + own.size < Self.sizeLimit
    }

    /// Puts a flow back, or in for the first time.
    mutating func put(_ flow: Flow, _ key: FlowKey) {
        flows[key] = flow
        if scheduled.insert(key).inserted { due.add(key, at: flow.deadline) }
        counts[flow.identity, default: 0] += 1
        held[flow.identity, default: 0] += flow.held.count
        sizes[flow.identity, default: 0] += flow.size
    }

    /// Takes a flow out, to be put back or to be settled.
    mutating func take(_ key: FlowKey) -> Flow? {
        guard let flow = flows.removeValue(forKey: key) else { return nil }
        counts[flow.identity, default: 1] -= 1
        if counts[flow.identity] == 0 { counts[flow.identity] = nil }
        held[flow.identity, default: flow.held.count] -= flow.held.count
        if held[flow.identity] == 0 { held[flow.identity] = nil }
        sizes[flow.identity, default: flow.size] -= flow.size
        if sizes[flow.identity] == 0 { sizes[flow.identity] = nil }
        return flow
    }

    /// Has the packets of a flow dropped at a time, never before one that was given earlier.
    mutating func letGo(_ key: FlowKey, at due: Instant) { lettingGo.append((due, key)) }

    /// When packets are dropped next.
    var earliestLettingGo: Instant? { lettingGo.first?.due }

    /// The flows whose packets are to be dropped now.
    mutating func takeLettingGo(at now: Instant) -> Set<FlowKey> {
        let count = lettingGo.firstIndex { $0.due > now } ?? lettingGo.count
        let keys = Set(lettingGo[..<count].map(\.key))
        lettingGo.removeFirst(count)
        return keys
    }

    /// Remembers for a while what became of a flow.
    mutating func settle(_ key: FlowKey, passes: Bool, at now: Instant) {
        settled[key] = (passes, Self.lateLimit, now + Self.aftermath)
        forgotten.add(key, at: now + Self.aftermath)
    }

    /// Whether what comes late of a flow passes; nil when nothing was settled.
    ///
    /// A packet whose connection the kernel has lost comes again and again: it does not pass for ever.
    mutating func passes(_ key: FlowKey) -> Bool? {
        guard let last = settled[key] else { return nil }
        settled[key]?.left -= 1
        return last.passes && last.left > 0
    }

    /// Whether a verdict was given a moment ago.
    func isSettled(_ key: FlowKey) -> Bool { settled[key] != nil }

    /// Another connection has the port.
    mutating func forget(_ key: FlowKey) { settled[key] = nil }

    /// Lets go of what was settled long enough ago.
    mutating func forget(at now: Instant) {
        for key in forgotten.take(until: now) where settled[key].map({ $0.until <= now }) ?? false {
            settled[key] = nil
        }
    }

    /// The flows whose time is up.
    mutating func takeDue(at now: Instant) -> [FlowKey] {
        due.take(until: now).filter { key in
            scheduled.remove(key)
            guard let flow = flows[key] else { return false }
            guard flow.deadline > now else { return true }
            scheduled.insert(key)
            due.add(key, at: flow.deadline)
            return false
        }
    }

    /// The flows that satisfy the condition.
    func keys(where isMeant: (Flow) -> Bool) -> [FlowKey] { flows.filter { isMeant($0.value) }.map(\.key) }

    // MARK: Datagrams that come behind their first flight

    /// How long after its last question a flow of datagrams may go on without proving anew what it is.
    private static let memory = Instant.Span.seconds(3600)

    /// Remembers that a flow of datagrams has proved what it is.
    mutating func prove(_ key: FlowKey, _ identity: Identity, at now: Instant) {
        if proved[identity, default: [:]].count >= Self.limit {
            proved[identity] = proved[identity]?.filter { now < $0.value }
            guard proved[identity, default: [:]].count < Self.limit else { return }
        }
        proved[identity, default: [:]][key] = now + Self.memory
    }

    /// Whether an identity's flow of datagrams has proved what it is.
    func isProved(_ key: FlowKey, _ identity: Identity, at now: Instant) -> Bool {
        proved[identity]?[key].map { now < $0 } ?? false
    }

    /// An identity is gone.
    mutating func forgetProved(_ identity: Identity) { proved[identity] = nil }

    /// Remembers with which stamp a flow of datagrams was let through.
    mutating func pass(_ key: FlowKey, _ stamp: Stamp, until: Instant) { passed[key] = (stamp, until) }

    /// The stamp with which an identity's flow of datagrams was let through a moment ago.
    func passed(_ key: FlowKey, _ identity: Identity, at now: Instant) -> Stamp? {
        guard let last = passed[key], now < last.until, last.stamp.identity == identity else { return nil }
        return last.stamp
    }

    /// Lets go of what was let through longer ago, or of all.
    mutating func forgetPassed(at now: Instant? = nil) {
        if let now { passed = passed.filter { now < $0.value.until } } else { passed = [:] }
    }
}
