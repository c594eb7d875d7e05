import Model

/// The statement that an `EventFilter` asks for.
struct EventQuery {
    let sql: String
    let values: [Value]
    /// Whether the rows come newest first.
    let isDescending: Bool

    init(_ filter: EventFilter) {
        var conditions: [String] = []
        var values: [Value] = []
        if let sequence = filter.afterSequence {
            conditions.append("seq > ?")
            values.append(.integer(sequence))
        }
        if let since = filter.since {
            // The bound on seq lets the scan end early; the plus keeps SQLite from sorting by way of the time's index. The
            // minimum, because after the clock was set back a later line may have an earlier time.
            conditions.append("seq >= (SELECT min(seq) FROM events WHERE time >= ?) AND +time >= ?")
            values += [.integer(since.microseconds), .integer(since.microseconds)]
        }
        if let workload = filter.workload {
            conditions.append("workload = ?")
            values.append(.text(workload))
        }
        if let name = filter.name {
            conditions.append("name = ?")
            values.append(.text(name))
        }
        for (column, wanted) in [
            ("verdict", filter.verdicts.map(\.rawValue)), ("kind", filter.kinds.map(\.rawValue)),
        ] where !wanted.isEmpty {
            conditions.append("\(column) IN (\(wanted.map { _ in "?" }.joined(separator: ", ")))")
            values += wanted.sorted().map { .text($0) }
        }
        isDescending = filter.afterSequence == nil
        let condition = conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
        sql = "SELECT seq, time, body FROM events \(condition) ORDER BY seq \(isDescending ? "DESC" : "ASC") LIMIT ?"
        // SQLite takes a negative limit for none.
        self.values = values + [.integer(Int64(max(0, filter.limit)))]
    }

    /// The event of a row; an alarm with its place and time when the body cannot be read.
    static func event(_ row: Row) -> Event {
        let sequence = row.integer(0) ?? 0
        do {
            var event = try Event(JSON.parse(row.bytes(2) ?? [], limit: .max))
            event.sequence = sequence
            return event
        } catch {
            var event = Event(time: WallTime(microseconds: row.integer(1) ?? 0), kind: .alarm)
            event.sequence = sequence
            event.message = "line \(sequence) of the record cannot be read: \(error)"
            return event
        }
    }
}
