internal import Broker
internal import Model
internal import Netfilter
internal import Record
internal import Ruleset
internal import System

/// No denial is lost with the daemon: each is written down before anything is done about its packet, and what the kernel
/// refused by itself, it has counted.
///
/// A daemon may be killed between any two of these steps. Each attempt is in the record once all the same: a line whose packet
/// still waits is taken back, since the packet is judged again; what an element has counted is taken out of the kernel
/// before the packets that come next are judged; and a line that the record has already is not written again.
extension Daemon {
    /// Writes down the denials among actions, before the actions are performed.
    func foretell(_ actions: [BrokerAction]) {
        var lines: [AheadFile.Line] = []
        var events = 0
        for (index, action) in actions.enumerated() {
            guard case .record(let event) = action else { continue }
            events += 1
            guard event.verdict == .deny else { continue }
            lines.append(AheadFile.Line(event: event, packet: Self.packet(of: event, actions[(index + 1)...])))
        }
        if !lines.isEmpty { foretell(lines, among: events) }
    }

    /// The packet that an event tells of: the broker answers it next, but for changes that come before.
    ///
    /// None where a connection ends before its packets are answered.
    private static func packet(of event: Event, _ following: ArraySlice<BrokerAction>) -> AheadFile.Packet? {
        guard event.kind == .request || event.kind == .inbound else { return nil }
        for action in following {
            switch action {
            case .change: continue
            case .answer(let reference, _): return AheadFile.Packet(reference)
            default: return nil
            }
        }
        return nil
    }

    /// Writes down denials; they are the last of so many events that the store is given next.
    func foretell(_ lines: [AheadFile.Line], among events: Int = 1) {
        makeRoomAhead()
        let given = eventsGiven + UInt64(pendingEvents.count + events)
        ahead.write(lines, given: given, after: store.lastSequence)
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

    /// Has the other file's turn come when the one in use is full; first flights are awaited for longer than that may take.
    private func makeRoomAhead() {
        guard ahead.isFull(committed: eventsCommitted) else { return }
        let beginnings = broker.awaitedFlights.map { key, initial in
            AheadFile.Beginning(local: key.local, localPort: key.localPort, remote: key.destination, initial: initial)
        }
        ahead.takeTurns(with: beginnings, after: store.lastSequence)
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
        guard pendingEvents.isEmpty, dirtyRequests.isEmpty, !broker.awaitsFlights else { return }
        // An event without the row of its request would have the next daemon give its number to another one.
        let health = store.health
        guard health.pending == 0, !health.hasPendingChanges else { return }
        ahead.clear()
        noteAhead()
    }

    /// Brings into the record what an earlier daemon refused and did not get there; `counts` are what its windows had counted.
    ///
    /// The earlier rules are gone: by its answers a packet would be refused and not be judged again. Throws before anything is
    /// told twice, when what the record has already cannot be read.
    func recover(_ counts: [Refusal: UInt64]) throws(StoreError) {
        guard !ahead.left.lines.isEmpty else { return }
        // A new record may have begun to count anew.
        let after = ahead.left.after <= store.lastSequence ? ahead.left.after : 0
        var stored = try storedDenials(after: after)
        var found: UInt64 = 0
        for line in ahead.left.lines {
            let key = Self.withoutNumbers(line.event)
            if let times = stored[key], times > 0 {
                stored[key] = times - 1
                _ = broker.recall(line.event, isStored: true)
                if let request = line.event.request { markDirty(request) }
            } else if let packet = line.packet, isAskedAgain(line, packet, counts) {
                ahead.takeBack(packet, after: store.lastSequence)
            } else {
                found += line.event.count
                append(broker.recall(line.event, isStored: false))
            }
        }
        if found > 0 { Log.info("\(found) denials of an earlier daemon had not reached the record: they have now") }
    }

    /// Whether the packet of a line is judged again, because it was never answered.
    private func isAskedAgain(_ line: AheadFile.Line, _ packet: AheadFile.Packet, _ counts: [Refusal: UInt64]) -> Bool {
        // Without the queue the packet is gone, and refused.
        guard queues.isKept else { return false }
        // The packet of a line met the element, if any did: one of those that are counted.
        if let counted = counts[Refusal(line.event)] { return counted == 0 }
        return queues.repeatUnanswered(packet.queue, packet.number)
    }

    /// The denials that the record has after this place.
    private func storedDenials(after sequence: Int64) throws(StoreError) -> [Event: Int] {
        let filter = EventFilter(afterSequence: sequence, verdicts: [.deny], limit: .max)
        var stored: [Event: Int] = [:]
        for event in try store.events(matching: filter) { stored[Self.withoutNumbers(event), default: 0] += 1 }
        return stored
    }

    /// What an event tells, without the numbers that it gets in the record.
    private static func withoutNumbers(_ event: Event) -> Event {
        var event = event
        (event.sequence, event.request) = (0, nil)
        return event
    }

    // MARK: The kernel's counts

    /// What a window is about, as far as its event tells.
    struct Refusal: Hashable {
        var kind: Event.Kind
        var workload: String?
        var destination: Destination?

        fileprivate init(_ event: Event) {
            (kind, workload, destination) = (event.kind, event.workload, event.destination)
        }
    }

    /// Takes the windows of an earlier daemon out of the kernel, and records what they counted but for their first attempts,
    /// which it had told of; what they counted in all.
    ///
    /// Whose they are is told by the numbers of these assignments.
    /// Throws when the kernel could not be asked: the table that is put in force next counts from zero.
    func takeCounts(_ assignments: [String: Assignment]) throws(NetfilterError) -> [Refusal: UInt64] {
        var counts: [Refusal: UInt64] = [:]
        for name in ["denied", "knocks", "others"] {
            for set in [name + "4", name + "6"] {
                try take(from: set) { key, packets in
                    guard let event = Self.event(ofKey: key, set: name, assignments) else { return }
                    counts[Refusal(event), default: 0] += packets
                    recordEarlier(event, count: packets - min(packets, 1))
                }
            }
        }
        for set in ["floods", "sieges"] {
            // What made the kernel refuse all met another window.
            try take(from: set) { key, packets in
                recordEarlier(Self.event(set: set, of: Self.workload(ofKey: key, assignments)), count: packets)
            }
        }
        return counts
    }

    /// Takes every element that refuses out of a set, one after the other: its key, and how many packets it has met.
    private func take(from set: String, _ body: ([UInt8], UInt64) -> Void) throws(NetfilterError) {
        do throws(NetfilterError) {
            for (key, counter) in try table.counts(of: set) {
                // What is let through without a port has such an element too.
                guard !set.hasPrefix("others") || Stamp.State(ofMark: counter.mark) == .denied else { continue }
                body(key, try table.take(SetElement(key: key), from: set) ?? 0)
            }
        } catch  where error.isPassing {
            throw error
        } catch {
            note(error, "reading what was refused meanwhile")
        }
    }

    private func recordEarlier(_ event: Event, count: UInt64) {
        guard count > 0 else { return }
        var event = event
        event.count = count
        broker.noteEarlier(&event)
        foretell([AheadFile.Line(event: event, packet: nil)])
        append(event)
    }

    private static func event(set: String, of workload: String?) -> Event {
        let isInbound = set == "knocks" || set == "sieges"
        var event = Event(time: Clock.wall(), kind: isInbound ? .inbound : .request)
        event.verdict = .deny
        event.reason = set == "floods" || set == "sieges" ? .limit : isInbound ? .notListening : .unknownDestination
        event.workload = workload
        event.message = "refused by the kernel while no daemon ran, or just before"
        return event
    }

    /// Whose element it is, by the mark that its key begins with; nil for what is no workload.
    private static func workload(ofKey key: [UInt8], _ assignments: [String: Assignment]) -> String? {
        guard key.count >= 4 else { return nil }
        let number = UInt16(key[2]) | UInt16(key[3]) << 8
        return assignments.first { $0.value.identity.number == number && !$0.key.hasPrefix("*") }?.key
    }

    private static func event(ofKey key: [UInt8], set: String, _ assignments: [String: Assignment]) -> Event? {
        let width = key.count > 20 || set == "others" && key.count > 12 ? 16 : 4
        guard key.count >= 8 + width else { return nil }
        let bits = key[4..<4 + width].reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
        let ports = key.count >= 12 + width
        var event = event(set: set, of: workload(ofKey: key, assignments))
        event.destination = Destination(
            address: width == 4 ? .v4(UInt32(truncatingIfNeeded: bits)) : IPAddress(wire: bits),
            port: ports ? UInt16(key[8 + width]) << 8 | UInt16(key[9 + width]) : 0,
            transport: Transport(number: key[4 + width]),
        )
        return event
    }
}

extension AheadFile.Packet {
    init(_ reference: PacketReference) { self.init(queue: reference.queue, number: reference.packet) }
}

extension Stamp.State {
    fileprivate init?(ofMark mark: UInt32) { self.init(rawValue: UInt8(truncatingIfNeeded: mark)) }
}
