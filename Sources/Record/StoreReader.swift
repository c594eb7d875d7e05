package import Model

/// The record, read-only: what the daemon answers from, and what the tools read while no daemon runs.
///
/// A reader sees what was committed. It never waits for the writer, and the writer never for it. Any thread may use it; two
/// at a time take turns.
package final class StoreReader: @unchecked Sendable {
    /// Guarded by `gate`.
    private var database: Database
    private let gate = ConditionLock()

    init(directory: String) throws(StoreError) { database = try Self.open(directory) }

    private static func open(_ directory: String) throws(StoreError) -> Database {
        let opened = try Database(path: "\(directory)/\(StateDirectory.databaseName)", readOnly: true)
        try Schema.check(opened)
        return opened
    }

    /// Lets go of a database that is set aside; until `reopen` all reading fails.
    func close() {
        gate.lock()
        defer { gate.unlock() }
        database.close()
    }

    /// Reads from the database that took its place.
    func reopen(directory: String) throws(StoreError) {
        let opened = try Self.open(directory)
        gate.lock()
        defer { gate.unlock() }
        database = opened
    }

    /// The events that match, as `EventFilter` says which and in which order.
    ///
    /// A line that cannot be read is answered by an alarm in its place.
    package func events(matching filter: EventFilter) throws(StoreError) -> [Event] {
        let query = EventQuery(filter)
        let events = try rows(query.sql, query.values) { (row) throws(StoreError) in EventQuery.event(row) }
        return query.isDescending == filter.newestLast ? events.reversed() : events
    }

    /// All requests, by number.
    package func requests() throws(StoreError) -> [RequestRow] {
        try rows("SELECT \(RequestRow.columns) FROM requests ORDER BY id") { (row) throws(StoreError) in
            try RequestRow(row)
        }
    }

    /// The number for the next request: above every one that was ever stored.
    package func nextRequestNumber() throws(StoreError) -> Int64 { try nextNumber(of: "requests") }

    /// The same for the next grant.
    package func nextGrantNumber() throws(StoreError) -> Int64 { try nextNumber(of: "grants") }

    private func nextNumber(of table: String) throws(StoreError) -> Int64 {
        let numbers = try rows("SELECT seq FROM sqlite_sequence WHERE name = ?", [.text(table)]) {
            (row) throws(StoreError) in row.integer(0) ?? 0
        }
        return (numbers.first ?? 0) + 1
    }

    /// The grants in this state, or all, by number.
    package func grants(state: GrantRow.State? = nil) throws(StoreError) -> [GrantRow] {
        let condition = state == nil ? "" : "WHERE state = ?"
        return try rows(
            "SELECT \(GrantRow.columns) FROM grants \(condition) ORDER BY id",
            state.map { [.text($0.rawValue)] } ?? [],
        ) { (row) throws(StoreError) in try GrantRow(row) }
    }

    /// The pins, the last to expire first and then those that have ended, at most `PinRow.maximum`.
    package func pins() throws(StoreError) -> [PinRow] {
        try rows(
            "SELECT \(PinRow.columns) FROM pins ORDER BY expires DESC, workload, name, address LIMIT ?",
            [.integer(Int64(PinRow.maximum))],
        ) { (row) throws(StoreError) in try PinRow(row) }
    }

    /// The number and generation of each workload that has one.
    package func workloadNumbers() throws(StoreError) -> [String: (number: UInt16, generation: UInt8)] {
        let found = try rows("SELECT name, number, generation FROM workloads") { (row) throws(StoreError) in
            let name = try row.required(0, of: "a workload") { $0 }
            return (
                name: name,
                number: try row.required(1, of: "workload \(name)") as UInt16,
                generation: try row.required(2, of: "workload \(name)") as UInt8
            )
        }
        var numbers: [String: (number: UInt16, generation: UInt8)] = [:]
        for row in found { numbers[row.name] = (row.number, row.generation) }
        return numbers
    }

    /// The value kept under this key; nil when there is none.
    package func meta(_ key: String) throws(StoreError) -> String? {
        let values = try rows("SELECT value FROM meta WHERE key = ?", [.text(key)]) { (row) throws(StoreError) in
            try row.required(0, of: "meta \(key)") { $0 }
        }
        return values.first
    }

    private func rows<Answer>(
        _ sql: String,
        _ values: [Value] = [],
        _ read: (Row) throws(StoreError) -> Answer,
    ) throws(StoreError) -> [Answer] {
        gate.lock()
        defer { gate.unlock() }
        var answers: [Answer] = []
        try database.query(sql, values) { (row) throws(StoreError) in answers.append(try read(row)) }
        return answers
    }
}
