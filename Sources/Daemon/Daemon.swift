internal import Broker
internal import Control
internal import Crypto
internal import Glibc
internal import Model
internal import Netfilter
internal import Policy
internal import PolicyFiles
internal import Record
internal import Ruleset
package import System

/// Why the daemon did not start: what happened, and nothing was opened.
package struct StartError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// Puts the parts on the one event loop: packets, time, signals and callers come in, the broker judges, and its actions
/// are performed.
package final class Daemon {
    package static let version = "0.1.0"

    let configurationPath: String
    var configuration: HostConfiguration
    let loader: PolicyLoader
    let loop: EventLoop
    let service: ServiceManager
    let store: Store
    /// Denials on their way into the record.
    let ahead: AheadFile
    /// How many events the store was given.
    var eventsGiven: UInt64 = 0
    let table: Table
    let queues: PacketQueues
    let log: PacketLog
    let sockets: SocketTable
    let connections: ConnectionTable
    let cgroups: CgroupTree
    let internetSockets: InternetSockets
    let inspector: ProcessInspector
    var layout: Layout
    var broker: Broker
    var control: ControlServer?
    var names: NameService?
    var upstreamWatch: FileWatch?
    /// What other tools do to the ruleset.
    var ruleset: RulesetGuard?
    /// Whether requests for names are redirected to the resolver.
    var isRedirecting = false
    /// What is open, was recorded as ended and could not be: it is tried again, and told of once.
    var unendedSockets: Set<UInt64> = []
    /// Whether the table was there when the daemon started.
    var isAdopted = false

    var cgroupPlaces = CgroupPlaces()
    /// Changes and answers of the packets read in one round: one transaction, then one message.
    var pendingChanges: [ElementChange] = []
    /// Changes for when the answers were sent; each once.
    var laterChanges: Set<ElementChange> = []
    var troubles = Troubles()
    /// What the elements of windows had counted that were to be taken out of the kernel, until it is told of: one may be gone
    /// although the kernel's answer, and with it its count, was lost.
    var untold: [Window.Key: UInt64] = [:]
    var pendingEvents: [Event] = []
    var dirtyRequests: Set<Int64> = []
    var requestsTimer: TimerToken?
    var timer: (token: TimerToken, deadline: Instant)?
    /// Whether a timer is set for what the broker has due to the millisecond.
    var isPrompt = false
    var followers: [UInt64: Follower] = [:]
    /// How many there ever were: the last one's number.
    var followerCount: UInt64 = 0
    var started = WallTime(microseconds: 0)
    var loaded = WallTime(microseconds: 0)
    /// Packets that the kernel dropped because a queue or its socket was full.
    var overloads: UInt64 = 0
    var warnings: [String: String] = [:]
    /// When the processes of the host were last looked through.
    var lastScan = Instant(nanoseconds: 0)
    /// Since when all sockets were looked through for who sent a packet, and how often.
    var searches = (since: Instant(nanoseconds: 0), count: 0)
    /// How many elements the largest transaction of a reload changed, and how long that took.
    var largestTransaction = (elements: 0, span: Instant.Span(nanoseconds: 0))
    var resources = Resources()

    /// Loads everything, puts the table in force and opens the control socket.
    ///
    /// Throws before anything is changed, or leaves the deny in place. With a helper, which listens at this path, the
    /// resolver's sockets are made by it.
    package init(configurationPath: String, helper: String? = nil, loop: EventLoop) throws {
        self.configurationPath = configurationPath
        self.loop = loop
        let service = ServiceManager.ofProcess()
        self.service = service
        loader = PolicyLoader(resolveUser: Users.uid)
        let configuration = try loader.loadConfiguration(configurationPath)
        let policies = try loader.loadPolicies(configuration.policies)
        self.configuration = configuration
        for warning in policies.warnings { Log.warning("\(warning)") }
        Self.warnOfHiddenPrograms(policies)

        cgroups = try Self.explained("finding the cgroup v2 hierarchy") { () throws(Errno) in try CgroupTree() }
        internetSockets = try Self.internetSockets(helper)
        inspector = ProcessInspector(context: configuration.context, cgroups: cgroups)
        guard let cryptography = LibCrypto() else {
            throw StartError(LibCrypto.absence)
        }
        let store = try Self.explained("state folder \(configuration.state)") { () throws(StoreError) in
            try Store(directory: configuration.state, journal: service.isThere)
        }
        self.store = store
        resources.replacements = store.health.replacements
        if let replacement = store.health.lastReplacement { Log.error(replacement) }
        do {
            ahead = try AheadFile(directory: configuration.state)
            table = try Table(owns: configuration.owner == .auto, kept: Self.kept(.table, by: service))
            layout = Layout(
                firstQueue: configuration.queue,
                observesOnly: configuration.mode == .observe,
                resolverPort: configuration.dnsPort,
            )
            queues = try PacketQueues(layout.queues, kept: Self.kept(.queues, by: service))
            log = try PacketLog(
                [layout.allowedGroup, layout.refusedGroup],
                kept: Self.kept(.log, by: service),
            )
            sockets = try SocketTable()
            connections = try ConnectionTable()
        } catch {
            store.close()
            throw error
        }
        broker = Broker(
            settings: Self.settings(configuration, Self.ownCgroup(cgroups, maker: internetSockets.helper)),
            policies: policies,
            assignments: try Self.assignments(store),
            cryptography: cryptography,
        )
        broker.setClock(wall: Clock.wall(), at: Clock.now())
        control = try ControlServer(
            loop: loop,
            path: configuration.control,
            cgroups: cgroups,
            version: Self.version,
        ) { [weak self] call in self?.handle(call) }
        names = try Self.explained("the resolver's port \(configuration.dnsPort) on 127.0.0.1 and ::1") {
            () throws(Errno) in
            try NameService(
                self,
                port: configuration.dnsPort,
                upstreams: Self.upstreams(configuration),
                sockets: internetSockets,
            )
        }
        // Before the table is in force: what others do to it from then on is heard.
        ruleset = try RulesetGuard(self)
        handOver()
        try adopt()
        watchRoles()
        started = Clock.wall()
        loaded = started
    }

    static func explained<Value, Failure: Error>(
        _ what: String,
        _ body: () throws(Failure) -> Value,
    ) throws(StartError) -> Value {
        do throws(Failure) {
            return try body()
        } catch {
            throw StartError("\(what): \(error)")
        }
    }

    static func settings(_ configuration: HostConfiguration, _ ownCgroup: String?) -> Broker.Settings {
        Broker.Settings(
            observesOnly: configuration.mode == .observe,
            unidentified: Broker.Settings.Unidentified(rawValue: configuration.unidentified.rawValue) ?? .deny,
            upstreams: Set(
                configuration.dnsServers.flatMap { server in
                    [Transport.udp, .tcp].map { Destination(address: server.address, port: server.port, transport: $0) }
                },
            ),
            daemonCgroup: ownCgroup,
            resolverPort: configuration.dnsPort,
            nameBudget: configuration.dnsBudget,
        )
    }

    /// Serves until it is told to stop.
    ///
    /// When the loop cannot go on, what is known is stored before this throws.
    package func run() throws {
        do {
            try serve()
        } catch {
            Log.error("the daemon cannot go on: \(error)")
            stop()
            throw error
        }
        stop()
    }

    private func serve() throws {
        try Signal.ignore(Signal.pipe)
        // Less than it takes to be woken.
        loop.linger = .microseconds(60)
        try loop.onSignals([SIGTERM, SIGINT, SIGHUP]) { [unowned self] signal in
            if signal == SIGHUP { _ = reload(actor: "SIGHUP") } else { loop.stop() }
        }
        sockets.onFailure = { [unowned self] in noteTrouble($0) }
        connections.onFailure = { [unowned self] in noteTrouble($0) }
        _ = try loop.add(queues.descriptor, .read) { [unowned self] _ in readQueues() }
        _ = try loop.add(log.descriptor, .read) { [unowned self] _ in readLog() }
        _ = try loop.add(store.committed, .read) { [unowned self] _ in
            serveFollowers()
            // What a new record lacks is stored before anything else can happen to the daemon.
            if store.health.replacements > resources.replacements { watchRecord() }
        }
        watchUpstreams()
        try ruleset?.start()
        try followCgroups()
        if isAdopted { awaitFlights() }
        ahead.settle(given: eventsGiven + UInt64(pendingEvents.count))
        // The policy counts for what is open, too; what is opened from here on is judged by its packets alone.
        let open = openSockets()
        afterPackets { [unowned self] in
            judgeOpen(open, "it was open when the daemon took over")
            forgetGoneNumbers()
        }
        // Queues that were kept go on counting: what they lost before was told of, or cannot be told apart.
        resources.queueDrops = (try? QueueLosses.read(of: layout.queues)) ?? 0
        resources.moment = Moment(wall: Clock.wall(), steady: Clock.now())
        scheduleSweep()
        scheduleGrantSaving()
        record(.daemon, "started, version \(Self.version)")
        scheduleWatchdog()
        tellReady()
        Log.info("ready: control socket \(configuration.control)")
        try loop.run()
    }

    private func stop() {
        service.tell(.stopping)
        control?.close()
        ruleset?.stop()
        saveRequests()
        saveGrantTimes()
        // What the kernel has counted is taken from it only when it can be stored; else the next start finds it there.
        let isStored = storeAll()
        perform(
            broker.closeWindows(at: Clock.now()).filter { action in
                if case .settle = action { isStored } else { true }
            },
        )
        saveRequests()
        record(.daemon, "stopped; the table stays in force")
        if storeAll() { clearAhead() }
        store.close()
        if store.health.lost > 0 { Log.error("\(store.health.lost) events are lost") }
        Log.info("stopped; the table stays in force and refuses what it does not know")
    }

    /// Writes what waits for the disk, and tries again for a moment: after the daemon's end nobody does.
    private func storeAll() -> Bool {
        var problem: StoreError?
        for attempt in 1...5 {
            do throws(StoreError) {
                try store.flush()
                return true
            } catch {
                problem = error
                if attempt < 5 { usleep(200_000) }
            }
        }
        if let problem { Log.error("the last events cannot be stored: \(problem)") }
        return false
    }

    func record(_ kind: Event.Kind, _ message: String) {
        var event = Event(time: Clock.wall(), kind: kind)
        event.message = message
        append(event)
    }

    func append(_ event: Event) {
        if let request = event.request { markDirty(request) }
        // A full store counts what it loses and says so in the record itself.
        if store.append(event) { eventsGiven += 1 }
    }
}
