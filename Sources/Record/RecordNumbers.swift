/// The highest numbers that a record gave away: those of a new one go on from here, because a number that a person has
/// read must never mean something else later.
struct RecordNumbers: Hashable {
    var event: Int64 = 0
    var request: Int64 = 0
    var grant: Int64 = 0

    /// What no number of a sound record reaches; beyond it JSON readers lose digits.
    static let limit: Int64 = 1 << 53

    private static let eventQuery = "SELECT max(seq) FROM events"
    private static let requestQuery = highest(of: "requests")
    private static let grantQuery = highest(of: "grants")

    private static func highest(of table: String) -> String {
        "SELECT max(n) FROM (SELECT seq AS n FROM sqlite_sequence WHERE name = '\(table)' UNION ALL SELECT max(id) FROM \(table))"
    }

    /// The numbers of a record; an error when one cannot be.
    init(of database: Database) throws(StoreError) {
        event = try Self.read(Self.eventQuery, from: database)
        request = try Self.read(Self.requestQuery, from: database)
        grant = try Self.read(Self.grantQuery, from: database)
    }

    /// Those of a damaged record, as far as they can be read.
    init(salvagedFrom database: Database) {
        event = (try? Self.read(Self.eventQuery, from: database)) ?? 0
        request = (try? Self.read(Self.requestQuery, from: database)) ?? 0
        grant = (try? Self.read(Self.grantQuery, from: database)) ?? 0
    }

    /// Those of a record that cannot be opened.
    init() {}

    /// Has the next requests and grants of a new record go on from these, inside a transaction.
    func write(to database: Database) throws(StoreError) {
        try database.execute("DELETE FROM sqlite_sequence")
        for (table, number) in [("requests", request), ("grants", grant)] where number > 0 {
            try database.run("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", [.text(table), .integer(number)])
        }
    }

    /// Has the numbers of the next requests be above this one, inside a transaction: events tell of it already, and the row of
    /// the request is written later.
    static func pass(request: Int64, in database: Database) throws(StoreError) {
        let value = Value.integer(request)
        try database.run("UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'requests' AND seq < ?1", [value])
        try database.run(
            """
            INSERT INTO sqlite_sequence (name, seq)
            SELECT 'requests', ?1 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'requests')
            """,
            [value],
        )
    }

    private static func read(_ sql: String, from database: Database) throws(StoreError) -> Int64 {
        let number = try database.number(sql) ?? 0
        guard (0..<limit).contains(number) else { throw StoreError.corrupt("no number can be \(number)") }
        return number
    }
}
