internal import Broker
internal import Model
internal import Netfilter
internal import Record
internal import Ruleset
internal import System

extension Daemon {
    /// Between two looks while there is something to do; an idle daemon looks when it sweeps.
    private static let lookInterval = Instant.Span.seconds(1)
    /// A date that moves by fewer seconds between two looks, or while no daemon runs, was corrected and not set.
    private static let clockTolerance: Int64 = 2
    private static let startTolerance: Int64 = 60

    /// Says what will be missing from the record, and which rules cannot be met.
    func probeProcesses() {
        guard !ProcessInspector.seesOthers else { return }
        warn(
            "processes",
            "the processes of other users cannot be looked at: requests are recorded without a process, and rules with "
                + "'executable' deny; give egressd CAP_SYS_PTRACE",
        )
    }

    /// Looks after everything that may run out, and says what did; but for the record at most once in a second.
    func watchResources(at now: Instant) {
        // It is tried again after a second: no time without a record goes unsaid.
        watchRecord()
        if let looked = resources.looked, now - looked < Self.lookInterval { return }
        resources.looked = now
        watchQueues()
        watchConnections()
        watchCgroups()
        watchClock()
        tellLosses()
    }

    /// A problem that lasts: logged once, and among the warnings of `ctl status` until it is over; nil ends it.
    ///
    /// Whether it is news.
    @discardableResult
    func warn(_ key: String, _ problem: String?) -> Bool {
        let isNew = (warnings[key] == nil) != (problem == nil)
        warnings[key] = problem
        if isNew, let problem { Log.warning(problem) }
        return isNew
    }

    /// An event that an operator should see at once, and a line in the log.
    func alarm(_ message: String, reason: Reason? = nil, count: UInt64 = 1) {
        Log.error(message)
        var event = Event(time: Clock.wall(), kind: .alarm)
        event.reason = reason
        event.count = count
        event.message = message
        append(event)
    }

    // MARK: The kernel

    /// The kernel had more to tell than the socket's buffer holds, or could not be read at all.
    ///
    /// Told with the next look.
    func noteOverload(_ source: Resources.Source, _ error: NetfilterError) {
        resources.losses[source, default: Resources.Loss()].text = "\(error)"
        // The queues are counted by the kernel, where it shows its count.
        if source == .queues, error.code == NetfilterError.noBuffers, watchQueues() { return }
        resources.losses[source, default: Resources.Loss()].count += 1
        overloads += 1
        scheduleTick()
    }

    private func tellLosses() {
        for (source, loss) in resources.losses where loss.count > 0 {
            let text = loss.text.isEmpty ? "the kernel's queues were full" : loss.text
            alarm("\(text) (\(loss.count)): \(source.consequence)", reason: .overload, count: loss.count)
        }
        resources.losses = [:]
    }

    /// Counts what the kernel dropped because a queue or its socket was full; whether that was anything.
    @discardableResult
    private func watchQueues() -> Bool {
        do throws(Errno) {
            let drops = try QueueLosses.read(of: layout.queues)
            if warn("descriptors", nil) { Log.info("there are file descriptors again") }
            defer { resources.queueDrops = drops }
            guard drops > resources.queueDrops else { return false }
            resources.losses[.queues, default: Resources.Loss()].count += drops - resources.queueDrops
            overloads += drops - resources.queueDrops
            return true
        } catch {
            guard error == .tooManyOpenFiles || error == .tooManyOpenFilesOnHost else {
                // What may not be read, or is not there, is told by the sockets alone.
                warn("descriptors", nil)
                return false
            }
            let problem =
                "no file descriptor is left (\(error)): requests are recorded without a process, rules with 'executable' deny, "
                + "names are answered SERVFAIL, and callers wait; raise LimitNOFILE"
            if warn("descriptors", problem) { alarm(problem) }
            return false
        }
    }

    /// Says when the connection table is full: the kernel then drops new connections before anybody judges them.
    private func watchConnections() {
        let limits: ConnectionLimits
        do throws(NetfilterError) {
            limits = try connections.limits()
            warn("limits", nil)
        } catch {
            // Where the kernel does not tell, its packets that are lost are all there is to see.
            let problem = "how full the kernel's connection table is cannot be read: \(error); it is tried again"
            warn("limits", error.isPassing ? problem : nil)
            return
        }
        let drops = limits.dropped
        let lost = resources.connectionDrops.map { drops > $0 ? drops - $0 : 0 } ?? 0
        resources.connectionDrops = drops
        guard limits.isNearlyFull || lost > 0 else {
            if warn("connections", nil) { Log.info("the kernel's connection table has room again") }
            return
        }
        let state = lost > 0 ? "full" : "nearly full"
        let problem =
            "the kernel's connection table is \(state) (\(limits.entries) of \(limits.limit)): without room new connections "
            + "are dropped, allowed ones too; raise net.netfilter.nf_conntrack_max"
        let isNew = warn("connections", problem)
        if lost > 0 || isNew { alarm("\(problem) (\(lost) dropped)", reason: .overload, count: max(1, lost)) }
    }

    // MARK: The clock

    /// Says when the date was set: spans and deadlines go by another clock.
    private func watchClock() {
        let now = Moment(wall: Clock.wall(), steady: Clock.now())
        defer { resources.moment = now }
        guard let last = resources.moment, let drift = now.drift(since: last) else { return }
        let seconds = drift.nanoseconds / 1_000_000_000
        guard abs(seconds) >= Self.clockTolerance else { return }
        alarm("the clock was set \(seconds < 0 ? "back" : "forward") by \(abs(seconds)) s; \(Self.whatItMeans)")
    }

    /// The same of the time that no daemon ran; nobody can tell a clock that was set forward from a host that was off.
    func noteStart(since last: Moment) {
        let now = Moment(wall: Clock.wall(), steady: Clock.now())
        guard let drift = now.drift(since: last) else { return }
        let seconds = drift.nanoseconds / 1_000_000_000
        guard abs(seconds) >= Self.startTolerance else { return }
        let what = seconds < 0 ? "the clock was set back" : "the host was off, or the clock was set forward,"
        alarm("\(what) by \(abs(seconds)) s since \(last.wall); \(Self.whatItMeans)")
    }

    private static let whatItMeans = "events are in the order of their numbers, and approvals last no longer for it"

    // MARK: Cgroups

    /// Says when not every cgroup is known, and why.
    private func watchCgroups() {
        guard let gap = cgroups.repair() else {
            if warn("cgroups", nil) { Log.info("every cgroup is known again") }
            return
        }
        let problem = "\(gap.cause): what runs in a cgroup that is not known is refused; \(gap.mend)"
        if warn("cgroups", problem) { alarm(problem) }
    }

    /// How many cgroups are looked at before packets have their turn.
    private static let sweepRound = 256
    /// With this many new cgroups a sweep does not wait for its time, but this long after the last one.
    private static let sweepEarly = 32
    /// … or with one new one for so many that were kept: each of them is looked at.
    private static let sweepShare = 16
    private static let sweepPause = Instant.Span.seconds(1)

    /// When so many cgroups are new that it is time to look which are gone; nil when there are not.
    ///
    /// Where they come and go by the thousand, what the kernel holds of those that are gone must not grow until then.
    var earlySweep: Instant? {
        let enough = max(Self.sweepEarly, resources.keptCgroups / Self.sweepShare)
        guard heldCgroups >= resources.keptCgroups + enough else { return nil }
        return resources.swept + Self.sweepPause
    }

    /// How many cgroups are known, in the kernel or for lying below one that is.
    private var heldCgroups: Int { broker.cgroupCount + cgroupPlaces.deepCount }

    /// Forgets all cgroups that are gone.
    func sweepAll(at now: Instant) {
        resources.swept = now
        resources.keptCgroups = heldCgroups
        // Not all that were looked up have an element in the kernel.
        sweep(Array(cgroupPlaces.ids.union(broker.knownCgroups))[...])
    }

    /// Forgets cgroups that are gone, some at a time, each time in one transaction.
    private func sweep(_ ids: ArraySlice<UInt64>) {
        let gone = ids.prefix(Self.sweepRound).filter { id in
            // Not by asking for the path: that takes a descriptor, and without one every cgroup would seem to be gone.
            (broker.path(ofCgroup: id) ?? cgroupPlaces.path(of: id)).map { cgroups.isGone(id, from: $0) } ?? true
        }
        let held = heldCgroups
        for id in gone {
            perform(broker.forget(cgroup: id), flushing: false)
            if let path = cgroupPlaces.forget(id) { inspector.forget(cgroup: path) }
        }
        resources.keptCgroups -= held - heldCgroups
        if !gone.isEmpty { flush() }
        let rest = ids.dropFirst(Self.sweepRound)
        guard !rest.isEmpty else { return }
        afterPackets { [unowned self] in sweep(rest) }
    }
}

extension CgroupGap {
    fileprivate var cause: String {
        switch self {
        case .watches: "no more cgroups can be watched, so new ones are found late or not at all"
        case .room(let limit): "there are more than \(limit) cgroups"
        case .unreadable(let error): "the cgroups cannot be read (\(error))"
        case .lost: "cgroups came and went faster than the kernel told of them"
        }
    }

    fileprivate var mend: String {
        switch self {
        case .watches: "raise fs.inotify.max_user_watches"
        case .room: "remove some, or give egressd CAP_DAC_READ_SEARCH"
        case .unreadable: "it is tried again"
        case .lost: "they are read again; raise fs.inotify.max_queued_events if this comes back"
        }
    }
}
