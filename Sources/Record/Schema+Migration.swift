extension Schema {
    /// Brings a database of an older egressd up to date, inside a transaction.
    static func migrate(_ database: Database, from found: Int64) throws(StoreError) {
        if found < 2 {
            try addNames(to: database)
        } else {
            // Version 3: what must be spoken where a name was approved.
            try database.execute("ALTER TABLE grants ADD COLUMN protocol TEXT")
        }
    }

    /// Version 2: requests, grants and events may be about a name, and there are pins.
    ///
    /// SQLite cannot let a column of an existing table be NULL, so two tables are made anew.
    private static func addNames(to database: Database) throws(StoreError) {
        try database.execute("ALTER TABLE events ADD COLUMN name TEXT;" + eventNames + pins)
        // What version 1 had as the name of a request was only said beside its address, and never written.
        try replace(
            "requests",
            by: requests,
            copying: """
                id, workload, kind, address, port, transport, count, first, last, verdict, reason, executable, command,
                finding
                """,
            index: "requests_last",
            in: database,
        )
        try replace(
            "grants",
            by: grants,
            copying: """
                id, workload, address, length, port, transport, granted, duration, remaining, saved, reason, actor,
                request, state
                """,
            index: "grants_state",
            in: database,
        )
    }

    /// Makes a table anew with its rows, and with the highest number that any row of it ever had.
    private static func replace(
        _ table: String,
        by definition: String,
        copying columns: String,
        index: String,
        in database: Database,
    ) throws(StoreError) {
        let highest = try database.number("SELECT seq FROM sqlite_sequence WHERE name = ?", [.text(table)])
        try database.execute("ALTER TABLE \(table) RENAME TO former; DROP INDEX \(index)")
        try database.execute(definition)
        try database.execute("INSERT INTO \(table) (\(columns)) SELECT \(columns) FROM former; DROP TABLE former")
        try database.run("DELETE FROM sqlite_sequence WHERE name = ?", [.text(table)])
        guard let highest else { return }
        try database.run("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", [.text(table), .integer(highest)])
    }
}
