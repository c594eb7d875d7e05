internal import Broker
internal import Model
internal import Netfilter
internal import Record
internal import System

/// No denial is lost with the daemon: each is written down before anything is done about its packet, and what the kernel
/// refused by itself, it has counted.
///
/// A daemon may be killed between any two of these steps. Each attempt is in the record once all the same: a line whose packet
/// still waits is taken back, since the packet is judged again; what an element has counted is written down, and taken out
/// of the kernel only then; where the element is still there, it has counted what stands there too; and a line that the record
/// has already is not written again. What is lost is what an element counts in between, when the daemon is killed within the
/// microseconds between the kernel's answer and the line.
extension Daemon {
    /// Writes down the denials among actions, before the actions are performed.
    func foretell(_ actions: [BrokerAction], taken: AheadFile.Counter?) {
        var lines: [AheadFile.Line] = []
        var events = 0
        for (index, action) in actions.enumerated() {
            guard case .record(let event) = action else { continue }
            events += 1
            guard event.verdict == .deny else { continue }
            let (packet, meets) = Self.packet(of: event, actions[(index + 1)...])
            lines.append(AheadFile.Line(event: event, packet: packet, meets: meets, taken: taken))
        }
        if !lines.isEmpty { foretell(lines, among: events) }
    }

    /// The packet that an event tells of: the broker answers it next, but for changes that come before; and the element among
    /// those that counts it then.
    ///
    /// None where a connection ends before its packets are answered.
    private static func packet(
        of event: Event,
        _ following: ArraySlice<BrokerAction>,
    ) -> (AheadFile.Packet?, meets: AheadFile.Counter?) {
        guard event.kind == .request || event.kind == .inbound else { return (nil, nil) }
        var meets: AheadFile.Counter?
        for action in following {
            switch action {
            case .change(let changes): meets = windowOfOne(changes) ?? meets
            case .answer(let reference, _): return (AheadFile.Packet(reference), meets)
            default: return (nil, nil)
            }
        }
        return (nil, nil)
    }

    /// Writes down denials; they are the last of so many events that the store is given next.
    func foretell(_ lines: [AheadFile.Line], among events: Int = 1) {
        makeRoomAhead()
        let given = eventsGiven + UInt64(pendingEvents.count + events)
        ahead.write(lines, given: given, after: store.lastSequence)
        noteAhead()
    }

    /// Writes down the denials that the element of a window has counted, before it is taken out of the kernel.
    func foretellCount(of key: Window.Key) {
        guard let event = denials(of: key) else { return }
        foretell(event, countedBy: AheadFile.Counter(key))
    }

    private func denials(of key: Window.Key) -> Event? {
        untold[key].flatMap { broker.denials(of: key, packets: $0, at: Clock.now()) }
    }

    /// Writes down what an element has counted that is about to be taken out of the kernel.
    func foretell(_ event: Event, countedBy counter: AheadFile.Counter) {
        makeRoomAhead()
        ahead.write(event, countedBy: counter, after: store.lastSequence)
        noteAhead()
    }

    /// Writes down that the first flight of a connection is awaited, when the packet begins one.
    func foretellBeginning(_ question: PacketQuestion) {
        guard let initial = broker.beginning(question) else { return }
        let beginning = AheadFile.Beginning(
            local: question.source,
            localPort: question.otherPort,
            remote: question.destination,
            initial: initial,
        )
        makeRoomAhead()
        ahead.write(beginning, after: store.lastSequence)
        noteAhead()
    }

    /// Has the other file's turn come when the one in use is full; first flights are awaited for longer than that may take, and
    /// so may be the kernel's answer about a count.
    private func makeRoomAhead() {
        guard ahead.isFull(committed: eventsCommitted) else { return }
        let beginnings = broker.awaitedFlights.map { key, initial in
            AheadFile.Beginning(local: key.local, localPort: key.localPort, remote: key.destination, initial: initial)
        }
        ahead.takeTurns(with: beginnings, after: store.lastSequence)
        for key in untold.keys {
            guard let event = denials(of: key) else { continue }
            ahead.write(event, countedBy: AheadFile.Counter(key), after: store.lastSequence)
        }
    }

    private var eventsCommitted: UInt64 { eventsGiven - min(eventsGiven, UInt64(store.health.pending)) }

    private func noteAhead() {
        let problem = ahead.lastError.map { "what is refused just before the daemon is killed is lost: \($0)" }
        // It may fail with every packet.
        let now = Clock.now()
        if let problem, warnings["ahead"] == nil, resources.aheadSaid.map({ now >= $0 + .milliseconds(100) }) ?? true {
            resources.aheadSaid = now
            Log.warning(problem)
        }
        warnings["ahead"] = problem
    }

    /// Forgets what was written down beforehand once the record has all of it.
    func clearAhead() {
        guard pendingEvents.isEmpty, dirtyRequests.isEmpty, untold.isEmpty, !broker.awaitsFlights else { return }
        // An event without the row of its request would have the next daemon give its number to another one.
        let health = store.health
        guard health.pending == 0, !health.hasPendingChanges else { return }
        ahead.clear()
        noteAhead()
    }

    /// The highest number of a request in what an earlier daemon wrote down; 0 for none.
    var highestRequestAhead: Int64 {
        let events = ahead.left.lines.map(\.event) + ahead.left.counts.values
        return events.compactMap(\.request).max() ?? 0
    }

    /// Brings into the record what an earlier daemon refused and did not get there, before anything else is counted; gives
    /// the lines whose packets may still wait.
    ///
    /// `counting` are the elements that are still there. Throws before anything is told twice, when what the record has
    /// already cannot be read.
    func recall(_ counting: [AheadFile.Counter: Event]) throws(StoreError) -> [AheadFile.Line] {
        let taken = ahead.left.counts.filter { counting[$0.key] == nil }.map { counter, event in
            AheadFile.Line(event: event, taken: counter)
        }
        // An element with the same key that the next start finds is another one, and has not counted these.
        if !taken.isEmpty { foretell(taken, among: 0) }
        let lines = ahead.left.lines + taken
        guard !lines.isEmpty else { return [] }
        // A new record may have begun to count anew.
        let after = ahead.left.after <= store.lastSequence ? ahead.left.after : 0
        var stored = try storedDenials(after: after)
        var waiting: [AheadFile.Line] = []
        var answered: [AheadFile.Line] = []
        for line in lines {
            let key = Self.withoutNumbers(line.event)
            if let number = stored[key]?.popLast() {
                var event = line.event
                // The number that it got in the record is the one that people know.
                event.request = number ?? event.request
                _ = broker.recall(event, isStored: true)
                if let request = event.request { markDirty(request) }
            } else if line.packet != nil, queues.isKept {
                waiting.append(line)
            } else {
                // Without the queue the packet is gone, and refused.
                answered.append(line)
            }
        }
        record(earlier: answered)
        return waiting
    }

    /// Records those of these lines whose packets are not judged again, because they were answered; `counts` are what the
    /// windows had counted.
    ///
    /// The earlier rules are gone: by its answers a packet would be refused and not be judged again. Which element counted
    /// a packet stands in its line: an event does not tell whose number it has. That of a user who is no workload's names the
    /// workload whose cgroup was used, or none, as that of somebody else.
    func recordAnswered(_ waiting: [AheadFile.Line], _ counts: [AheadFile.Counter: UInt64]) {
        var answered: [AheadFile.Line] = []
        for line in waiting {
            guard let packet = line.packet else { continue }
            // The packet of a line met the element, if any did: one of those that are counted.
            let count = line.meets.flatMap { counts[$0] }
            let isAskedAgain = count.map { $0 == 0 } ?? queues.repeatUnanswered(packet.queue, packet.number)
            if isAskedAgain { ahead.takeBack(packet, after: store.lastSequence) } else { answered.append(line) }
        }
        record(earlier: answered)
    }

    private func record(earlier lines: [AheadFile.Line]) {
        for line in lines { append(broker.recall(line.event, isStored: false)) }
        let count = lines.reduce(0) { $0 + $1.event.count }
        if count > 0 { Log.info("\(count) denials of an earlier daemon had not reached the record: they have now") }
    }

    /// The denials that the record has after this place, and the numbers of their requests.
    private func storedDenials(after sequence: Int64) throws(StoreError) -> [Event: [Int64?]] {
        let filter = EventFilter(afterSequence: sequence, verdicts: [.deny], limit: .max)
        var stored: [Event: [Int64?]] = [:]
        for event in try store.events(matching: filter) {
            stored[Self.withoutNumbers(event), default: []].append(event.request)
        }
        return stored
    }

    /// What an event tells, without the numbers that it gets in the record.
    private static func withoutNumbers(_ event: Event) -> Event {
        var event = event
        (event.sequence, event.request) = (0, nil)
        return event
    }
}

extension AheadFile.Packet {
    init(_ reference: PacketReference) { self.init(queue: reference.queue, number: reference.packet) }
}
