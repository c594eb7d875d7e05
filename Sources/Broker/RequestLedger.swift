internal import Model

/// What was denied, held or observed, grouped by who asked and for what.
///
/// Bounded for each workload: what is beyond is counted in one line of the workload for all other destinations. A line gives
/// way only when nobody has asked for its destination for a long time, and its count goes to that line: none is lost.
struct RequestLedger {
    /// What makes two requests the same line.
    struct Key: Hashable {
        let kind: Event.Kind
        let workload: String
        let subject: Subject
    }

    /// At most this many lines a workload, and one more for what is beyond.
    static let workloadLimit = 1000
    /// At most this many lines, those for what is beyond left out.
    static let limit = 8000
    /// A line that nobody asked for this long gives way to another one, in microseconds.
    static let staleAfter: Int64 = 3600 * 1_000_000

    private var lines: [Key: RequestSummary] = [:]
    private var keys: [Int64: Key] = [:]
    /// How many lines each workload has, the ones for what is beyond left out.
    private var counts: [String: Int] = [:]
    private var total = 0
    /// Before this no line of a workload is stale: lines are looked through once, not for every request.
    private var freshUntil: [String: Int64] = [:]
    private var next: Int64 = 1
    /// The numbers of lines that changed besides the ones that events were noted under.
    private var changed: Set<Int64> = []
    /// The numbers of lines that are no more.
    private var forgotten: Set<Int64> = []

    /// All lines, oldest first.
    var all: [RequestSummary] { lines.values.sorted { $0.id < $1.id } }

    var count: Int { lines.count }

    /// The line of this number.
    subscript(_ id: Int64) -> RequestSummary? { keys[id].flatMap { lines[$0] } }

    /// Takes up the lines of an earlier daemon, those that were asked for last.
    mutating func restore(_ summaries: [RequestSummary], next: Int64) {
        self.next = max(self.next, next, (summaries.map(\.id).max() ?? 0) + 1)
        // The lines for what is beyond first: others may have to be counted in them.
        let others = summaries.filter { $0.subject == .others }
        let lines = summaries.filter { $0.subject != .others }.sorted { $0.last > $1.last }
        for summary in others + lines {
            let key = Key(kind: summary.kind, workload: summary.workload, subject: summary.subject)
            if summary.subject == .others || hasRoom(summary.workload) { put(summary, key) } else { fold(summary, key) }
        }
    }

    /// Counts the attempts that an event stands for, under the number that it gets; those that were allowed are left alone.
    ///
    /// `subject` is what it is about when the event does not say.
    mutating func note(_ event: inout Event, as subject: Subject? = nil) {
        guard let verdict = event.verdict, verdict != .allow, let reason = event.reason,
            let subject = subject ?? event.subject
        else { return }
        var key = Key(kind: event.kind, workload: event.workload ?? "", subject: subject)
        if lines[key] == nil, subject != .others, !makeRoom(for: key.workload, at: event.time) {
            key = key.beyond
        }
        if var known = lines[key] {
            known.count += event.count
            known.last = event.time
            known.verdict = verdict
            known.reason = reason
            known.process = event.process ?? known.process
            known.finding = event.finding ?? known.finding
            lines[key] = known
            event.request = known.id
            return
        }
        event.request = next
        put(
            RequestSummary(
                id: next,
                workload: key.workload,
                kind: event.kind,
                subject: key.subject,
                count: event.count,
                first: event.time,
                last: event.time,
                verdict: verdict,
                reason: reason,
                process: event.process,
                finding: event.finding,
            ),
            key,
        )
        next += 1
    }

    /// The event of an earlier daemon under the number that its line has now; the line is there again if it was not.
    ///
    /// What the record has already (`isStored`) keeps its number, and counts only where its line does not have it.
    mutating func recall(_ event: Event, isStored: Bool) -> Event {
        guard event.verdict != .allow, event.kind == .request || event.kind == .inbound, let number = event.request
        else { return event }
        let subject = event.subject ?? .others
        let key = Key(kind: event.kind, workload: event.workload ?? "", subject: subject)
        if isStored, let line = lines[key] ?? keys[number].flatMap({ lines[$0] }) {
            // A line is written later than its events: what came after its last one is not in it yet.
            if event.time > line.last {
                var event = event
                event.request = line.id
                countAgain(&event)
                changed.insert(line.id)
            }
            return event
        }
        var event = event
        let following = next
        if keys[number] == nil { next = number }
        let known = lines[key]
        note(&event, as: subject)
        next = max(following, next)
        if let known {
            lines[key]?.first = min(known.first, event.time)
            lines[key]?.last = max(known.last, event.time)
        }
        return event
    }

    /// Adds what an event counts to the line that it was noted under, or to the one that took its place.
    mutating func countAgain(_ event: inout Event) {
        guard event.verdict != .allow, let id = event.request else { return }
        guard let key = keys[id] else { return note(&event, as: .others) }
        lines[key]?.count += event.count
        lines[key]?.last = event.time
    }

    /// What must be written down: lines by these numbers and what changed with them, and which are no more.
    mutating func takeChanges(of ids: Set<Int64>) -> (changed: [RequestSummary], forgotten: Set<Int64>) {
        defer { (changed, forgotten) = ([], []) }
        return (ids.union(changed).compactMap { self[$0] }, forgotten)
    }

    private func hasRoom(_ workload: String) -> Bool {
        counts[workload, default: 0] < Self.workloadLimit && total < Self.limit
    }

    private mutating func put(_ summary: RequestSummary, _ key: Key) {
        lines[key] = summary
        keys[summary.id] = key
        guard key.subject != .others else { return }
        counts[key.workload, default: 0] += 1
        total += 1
    }

    /// Whether a workload may have one more line, for which a stale one gives way; of another workload when it has more.
    private mutating func makeRoom(for workload: String, at time: WallTime) -> Bool {
        let own = counts[workload, default: 0]
        if own < Self.workloadLimit {
            guard total >= Self.limit, let most = counts.max(by: { $0.value < $1.value }) else { return true }
            // Nobody fills the ledger for the others: who has most gives way, however fresh.
            guard most.value <= own + 1 else { return giveWay(of: most.key, staleAt: .max) }
        }
        let staleAt = time.microseconds - Self.staleAfter
        guard freshUntil[workload].map({ $0 <= time.microseconds }) ?? true else { return false }
        return giveWay(of: workload, staleAt: staleAt)
    }

    /// Takes away the line of a workload that was asked for least lately, when that was before a time; whether there was one.
    private mutating func giveWay(of workload: String, staleAt: Int64) -> Bool {
        let own = lines.lazy.filter { key, line in
            // What waits for an operator stays.
            key.workload == workload && key.subject != .others && line.verdict != .hold
        }
        guard let oldest = own.min(by: { $0.value.last < $1.value.last }) else { return false }
        guard oldest.value.last.microseconds < staleAt else {
            freshUntil[workload] = oldest.value.last.microseconds + Self.staleAfter
            return false
        }
        freshUntil[workload] = nil
        lines[oldest.key] = nil
        keys[oldest.value.id] = nil
        counts[workload, default: 1] -= 1
        total -= 1
        fold(oldest.value, oldest.key)
        return true
    }

    /// Adds what a line that is no more has counted to the one for what is beyond.
    private mutating func fold(_ line: RequestSummary, _ key: Key) {
        forgotten.insert(line.id)
        if lines[key.beyond] == nil {
            put(line.standing(for: .others, id: next), key.beyond)
            changed.insert(next)
            next += 1
        } else {
            lines[key.beyond]?.add(line)
            if let id = lines[key.beyond]?.id { changed.insert(id) }
        }
    }
}

extension RequestLedger.Key {
    /// The line for what is beyond the workload's bound.
    fileprivate var beyond: Self { Self(kind: kind, workload: workload, subject: .others) }
}

extension RequestSummary {
    /// The same under another number, about something else.
    fileprivate func standing(for subject: Subject, id: Int64) -> RequestSummary {
        RequestSummary(
            id: id,
            workload: workload,
            kind: kind,
            subject: subject,
            count: count,
            first: first,
            last: last,
            verdict: verdict,
            reason: reason,
            process: process,
            finding: finding,
        )
    }

    /// Counts what an older line did, too.
    fileprivate mutating func add(_ line: RequestSummary) {
        count += line.count
        first = min(first, line.first)
        last = max(last, line.last)
    }
}
