import Model

extension RequestRow {
    static let columns = """
        id, workload, kind, address, port, transport, name, count, first, last, verdict, reason, executable, command, finding
        """

    /// Inserts the row, or puts it in the place of the one with its number.
    func write(to database: Database) throws(StoreError) {
        let destination = subject.destination
        try database.run(
            "INSERT OR REPLACE INTO requests (\(Self.columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                .integer(id), .text(workload), .text(kind.rawValue), Value(destination?.address.description),
                Value(destination.map { Int64($0.port) }), Value(destination.map { Int64($0.transport.number) }),
                Value(subject == .others ? Self.others : subject.name?.text),
                .integer(Int64(clamping: count)), .integer(first.microseconds), .integer(last.microseconds),
                .text(verdict.rawValue), .text(reason.rawValue), Value(executable),
                .text(JSON(command).description), Value(finding?.rawValue),
            ],
        )
    }

    init(_ row: Row) throws(StoreError) {
        let id: Int64 = try row.required(0, of: "a request")
        let this = "request \(id)"
        self.init(
            id: id,
            workload: try row.required(1, of: this) { $0 },
            kind: try row.required(2, of: this) { Event.Kind(rawValue: $0) },
            subject: try Self.subject(row, of: this),
            count: try row.required(7, of: this),
            first: WallTime(microseconds: try row.required(8, of: this)),
            last: WallTime(microseconds: try row.required(9, of: this)),
            verdict: try row.required(10, of: this) { Verdict(rawValue: $0) },
            reason: try row.required(11, of: this) { Reason(rawValue: $0) },
            executable: row.text(12),
            command: try row.required(13, of: this) { (try? JSON.parse($0, limit: .max))?.texts },
            finding: row.text(14).flatMap { Finding(rawValue: $0) },
        )
    }

    /// What stands in place of the name for other destinations: no name is that.
    private static let others = "*"

    private static func subject(_ row: Row, of this: String) throws(StoreError) -> Subject {
        guard row.text(6) != others else { return .others }
        guard row.text(6) == nil else { return .name(try row.required(6, of: this) { try? DomainName($0) }) }
        return .address(
            Destination(
                address: try row.required(3, of: this) { IPAddress($0) },
                port: try row.required(4, of: this),
                transport: Transport(number: try row.required(5, of: this)),
            ),
        )
    }

    /// Deletes the oldest rows above the number to keep.
    static func prune(_ database: Database, keeping: Int) throws(StoreError) {
        let count = try database.number("SELECT count(*) FROM requests") ?? 0
        guard count > keeping else { return }
        try database.run(
            "DELETE FROM requests WHERE id IN (SELECT id FROM requests ORDER BY last, id LIMIT ?)",
            [.integer(count - Int64(keeping))],
        )
    }
}
