internal import Broker
internal import Model
internal import Netfilter
internal import Ruleset
internal import System
internal import Wire

/// Sees what other tools do to the ruleset: puts back what is egressd's, and says what of theirs concerns it.
final class RulesetGuard {
    /// How often the generation is looked at.
    private static let interval = Instant.Span.milliseconds(500)
    /// How soon after a change was heard the ruleset is looked through: changes come in bursts.
    private static let pause = Instant.Span.milliseconds(100)
    /// In how many looks x_tables is looked at once, of which nobody is told.
    private static let legacyLooks = 20

    unowned let daemon: Daemon
    private let reader: RulesetReader
    private let watch: RulesetWatch?
    /// How long what was missed waits to be looked for when something was missed just before: at first, and at most.
    private static let missPauses = (first: Instant.Span.milliseconds(100), longest: Instant.Span.milliseconds(800))
    /// What follows within this time follows at once.
    private static let missSpan = Instant.Span.seconds(10)

    /// The table as it was put in force, without its elements; nil when that is not known for certain.
    private var expected: OwnTable?
    private var lastMiss: (at: Instant, pause: Instant.Span)?
    private var missTimer: TimerToken?
    /// Heard, and not acted upon yet.
    private var unsettled: [RulesetWatch.Heard] = []
    private var generation: UInt32?
    private var foreign = ForeignRuleset()
    private var legacy: Set<String> = []
    private var looks = 0
    private var isLookingSoon = false
    private var bursts = AlarmBursts()
    private var burstTimer: TimerToken?
    /// How often the table was put back.
    private(set) var restorations = 0
    /// Why the table could not be put back; nil when it stands.
    private(set) var failure: String?

    /// Begins to listen where others can change the table.
    init(_ daemon: Daemon) throws {
        self.daemon = daemon
        reader = try RulesetReader()
        watch = daemon.table.features.ownedTable ? nil : try RulesetWatch(ignoring: try daemon.table.port)
        daemon.table.watch = watch
        // Not from within the transaction that missed it.
        watch?.whenMissed = { [unowned self] in daemon.loop.defer { [unowned self] in hear() } }
    }

    /// Looks at what is there, and at every change from now on.
    func start() throws {
        if let watch { _ = try daemon.loop.add(watch.descriptor, .read) { [unowned self] _ in hear() } }
        learn()
        let now = try? reader.generation()
        // What could not be read is read with the next look.
        if let found = try? reader.foreign() { (foreign, generation) = (found, now) }
        legacy = LegacyTables.names()
        // What stands at every start is no alarm at every start.
        for finding in foreign.findings {
            if finding.isHarmful { Log.warning(finding.text) } else { Log.info(finding.text) }
        }
        for name in legacy.sorted() { Log.info(Self.legacyText(name)) }
        warn()
        scheduleLook()
    }

    /// Tells of what was counted so far, for a daemon that stops.
    func stop() { tellEnded(all: true) }

    /// One line for `ctl status`.
    var status: String {
        if let failure { return "NOT IN FORCE: \(failure)" }
        let times = restorations == 0 ? "" : ", put back \(restorations) time\(restorations == 1 ? "" : "s")"
        return "intact, generation \(generation ?? 0)\(times)"
    }

    // MARK: Others' hands on the table

    private func hear() {
        guard let watch else { return }
        let begin = Clock.now()
        let heard = unsettled + watch.read()
        unsettled = []
        if watch.hasMissed {
            lookForMissed(watch, heard, at: begin)
        } else if heard.contains(where: \.message.isOurs) {
            putBack(since: begin, heard)
        }
        if watch.hasMissed || heard.contains(where: { !$0.message.isOurs }) { lookSoon() }
    }

    /// Something was changed that was not heard: asks the kernel whether it was ours.
    private func lookForMissed(_ watch: RulesetWatch, _ heard: [RulesetWatch.Heard], at now: Instant) {
        let isOurs = heard.contains(where: \.message.isOurs)
        let isFollowing = lastMiss.map { now - $0.at < Self.missSpan } ?? false
        // Others may change the ruleset all the time; what is known to be ours waits for nothing.
        if !isOurs, isFollowing, let lastMiss, now - lastMiss.at < lastMiss.pause {
            unsettled = heard
            return hear(at: lastMiss.at + lastMiss.pause)
        }
        let pause = isFollowing ? lastMiss.map { Self.longer($0.pause) } : nil
        lastMiss = (now, pause ?? Self.missPauses.first)
        let own: OwnTable
        do throws(NetfilterError) {
            try watch.listen()
            own = try reader.own()
        } catch {
            Log.warning("\(error); what others changed is looked for again")
            // What is known to be ours does not wait for that.
            if isOurs { putBack(since: now, heard) } else { unsettled = heard }
            return hear(at: now + (pause ?? Self.missPauses.first))
        }
        // Taken back first: what is missed from here on is another time.
        watch.hasMissed = false
        guard !isOurs, own == expected else {
            return putBack(since: now, heard, found: own, listeningThrough: isFollowing)
        }
        do throws(NetfilterError) {
            try daemon.putElementsBack(listeningThrough: isFollowing)
        } catch {
            fail(error)
        }
    }

    private static func longer(_ pause: Instant.Span) -> Instant.Span {
        min(Instant.Span(nanoseconds: pause.nanoseconds * 2), missPauses.longest)
    }

    private func hear(at deadline: Instant) {
        guard missTimer == nil else { return }
        missTimer = daemon.loop.schedule(at: deadline) { [unowned self] in
            missTimer = nil
            hear()
        }
    }

    /// Remembers the table as it stands: it was put in force just now.
    ///
    /// Not when somebody may have changed it since: what was heard by then is acted upon next.
    func learn() {
        guard let watch else { return }
        let own = try? reader.own()
        unsettled += watch.read()
        let isKnown = !watch.hasMissed && !unsettled.contains(where: \.message.isOurs)
        expected = isKnown ? own : nil
        if watch.hasMissed || !unsettled.isEmpty { daemon.loop.defer { [unowned self] in hear() } }
    }

    /// Puts the table back; `found` is what of it stands, where something was not heard.
    private func putBack(
        since begin: Instant,
        _ early: [RulesetWatch.Heard],
        found: OwnTable? = nil,
        listeningThrough: Bool = false,
    ) {
        let isAnew =
            daemon.isForeign(early.map(\.message).filter(\.isOurs)) || found.map(daemon.isForeign) ?? false
        let wasKnown = expected != nil
        let span: Instant.Span
        do throws(NetfilterError) {
            span = try daemon.putBack(isAnew: isAnew, listeningThrough: listeningThrough) - begin
        } catch {
            return fail(error)
        }
        failure = nil
        daemon.warnings["table"] = nil
        // The rest of the other's transaction, which says at its end whose it was, is there by now; and perhaps another.
        let (late, next) = watch.map { $0.split($0.read()) } ?? ([], [])
        unsettled = next
        learn()
        let heard = early + late
        let ours = heard.filter(\.message.isOurs)
        if let found, !found.chains.isEmpty, ours.isEmpty, !wasKnown, !isAnew {
            return Log.info("others changed the ruleset while the table was put in force: it was put in force again")
        }
        restorations += 1
        let table = "inet \(Layout.table)"
        let summary =
            ours.isEmpty
            ? "table \(table) was changed or deleted, and by whom was not heard"
            : RulesetMessage.summary(of: table, ours.map(\.message)) + doers(of: ours, in: heard)
        alarm(about: table, "\(summary); put back after \(span.milliseconds) ms")
    }

    /// Who made these changes, as far as the kernel said.
    private func doers(of changes: [RulesetWatch.Heard], in heard: [RulesetWatch.Heard]) -> String {
        let ports = Set(changes.map(\.port))
        var doers: [String] = []
        for end in heard where end.message.subject == .generation && ports.contains(end.port) {
            let doer = "\(end.message.processName) (pid \(end.message.process))"
            if !doers.contains(doer) { doers.append(doer) }
        }
        guard !doers.isEmpty else { return "" }
        return ", by " + doers.prefix(3).joined(separator: ", ") + (doers.count > 3 ? " and others" : "")
    }

    private func fail(_ error: NetfilterError) {
        let mend = "find who holds it with 'nft list tables', end that program, and restart egressd"
        let text = "table inet \(Layout.table) cannot be put back: \(error); \(mend)"
        failure = "\(error)"
        daemon.warnings["table"] = text
        alarm(about: "failure", text)
    }

    // MARK: The rest of the ruleset

    private func lookSoon() {
        guard !isLookingSoon else { return }
        isLookingSoon = true
        _ = daemon.loop.schedule(after: Self.pause) { [unowned self] in
            isLookingSoon = false
            look()
        }
    }

    private func scheduleLook() {
        _ = daemon.loop.schedule(after: Self.interval) { [unowned self] in
            look()
            looks += 1
            if looks.isMultiple(of: Self.legacyLooks) { lookAtLegacy() }
            scheduleLook()
        }
    }

    private func look() {
        let found: ForeignRuleset
        do throws(NetfilterError) {
            let now = try reader.generation()
            let isSame = failure == nil && now == generation
            found = isSame ? foreign : try reader.foreign(since: foreign)
            generation = now
            noteBlindness(nil)
            guard !isSame else { return }
        } catch {
            return noteBlindness(error)
        }
        if !found.hasOurs || failure != nil {
            putBack(since: Clock.now(), watch?.read() ?? [])
        }
        let known = Set(foreign.findings)
        foreign = found
        var new: [String: [String]] = [:]
        for finding in found.findings where !known.contains(finding) {
            new[finding.table, default: []].append(finding.text)
        }
        for (table, texts) in new.sorted(by: { $0.key < $1.key }) {
            alarm(about: table, texts.prefix(4).joined(separator: "; ") + (texts.count > 4 ? "; and more" : ""))
        }
        warn()
    }

    /// What could not be read is read with the next look.
    private func noteBlindness(_ error: NetfilterError?) {
        let text = error.map { "what other tools do to the ruleset cannot be seen: \($0); it is tried again" }
        if let text, daemon.warnings["ruleset"] == nil { Log.warning(text) }
        daemon.warnings["ruleset"] = text
    }

    private func lookAtLegacy() {
        let found = LegacyTables.names()
        for name in found.subtracting(legacy).sorted() { alarm(about: name, Self.legacyText(name)) }
        legacy = found
    }

    private static func legacyText(_ name: String) -> String {
        "table \(name) of x_tables is there: what it accepts does not pass for it, but changes to it are not seen"
    }

    /// What breaks connections stays in `ctl status` as long as it is there.
    private func warn() {
        let harmful = foreign.findings.filter(\.isHarmful)
        let more = harmful.count > 1 ? " (and \(harmful.count - 1) more: 'nft list ruleset')" : ""
        daemon.warnings["foreign"] = harmful.first.map { $0.text + more }
    }

    // MARK: Alarms

    private func alarm(about subject: String, _ message: String) {
        let isTold = bursts.isTold(subject, message, at: Clock.now())
        scheduleEnd()
        guard isTold else { return }
        Log.warning(message)
        daemon.record(.alarm, message)
    }

    private func scheduleEnd() {
        guard burstTimer == nil, let deadline = bursts.deadline else { return }
        burstTimer = daemon.loop.schedule(at: deadline) { [unowned self] in
            burstTimer = nil
            tellEnded()
        }
    }

    private func tellEnded(all: Bool = false) {
        for (message, count) in bursts.takeEnded(at: Clock.now(), all: all) {
            let text = "\(message) (the last of \(count) more within \(AlarmBursts.span.nanoseconds / 1_000_000_000) s)"
            Log.warning(text)
            var event = Event(time: Clock.wall(), kind: .alarm)
            event.message = text
            event.count = count
            daemon.append(event)
        }
        if !all { scheduleEnd() }
    }
}
