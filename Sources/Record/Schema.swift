import CSQLite

/// The tables, and how an older database becomes a current one.
enum Schema {
    /// The version this egressd writes, kept in `user_version`.
    static let version: Int64 = 3

    /// Sets the connection up for writing and creates the tables in a new database.
    static func prepare(_ database: Database) throws(StoreError) {
        // STRICT tables came with 3.37; without the check an older library would complain about our syntax.
        guard sqlite3_libversion_number() >= 3_037_000 else {
            throw StoreError.refused(path: "libsqlite3", message: "is older than 3.37")
        }
        try database.execute("PRAGMA trusted_schema=OFF; PRAGMA foreign_keys=ON; PRAGMA cell_size_check=ON")
        var mode: String?
        try database.query("PRAGMA journal_mode=WAL") { (row) throws(StoreError) in mode = row.text(0) }
        // SQLite reports no error when it cannot, and readers would then stop the writer.
        guard mode == "wal" else {
            throw StoreError.refused(
                path: "journal_mode",
                message: "is \(mode ?? "unknown"), not wal: is it a local disk?"
            )
        }
        try database.execute("PRAGMA journal_size_limit=67108864; PRAGMA synchronous=NORMAL")
        let found = try check(database)
        let named = "type = 'table' AND name IN (\(tables))"
        let count = try database.number("SELECT count(*) FROM sqlite_schema WHERE \(named)")
        guard count == (found == 0 ? 0 : found == 1 ? 5 : 6) else {
            throw StoreError.corrupt("schema \(found) with \(count ?? 0) of its tables")
        }
        guard found < version else { return }
        try database.transaction(durable: true) { () throws(StoreError) in
            try found == 0 ? create(in: database) : migrate(database, from: found)
            try database.execute("PRAGMA user_version=\(version)")
        }
    }

    /// The version of the database; an error when a newer egressd wrote it.
    @discardableResult
    static func check(_ database: Database) throws(StoreError) -> Int64 {
        let found = try database.number("PRAGMA user_version") ?? 0
        guard found <= version else { throw StoreError.newerSchema(found: found, known: version) }
        guard found >= 0 else { throw StoreError.corrupt("schema \(found)") }
        return found
    }

    /// The tables of every version; pins came with the second.
    private static let tables = "'events', 'requests', 'grants', 'workloads', 'meta', 'pins'"

    private static func create(in database: Database) throws(StoreError) {
        try database.execute(events + eventNames + requests + grants + pins + others)
    }

    private static let events = """
        CREATE TABLE events (
            seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, kind TEXT NOT NULL, verdict TEXT, workload TEXT,
            body TEXT NOT NULL, name TEXT
        ) STRICT;
        CREATE INDEX events_time ON events (time);
        CREATE INDEX events_workload ON events (workload, seq) WHERE workload IS NOT NULL;

        """

    static let eventNames = """
        CREATE INDEX events_name ON events (name, seq) WHERE name IS NOT NULL;

        """

    // AUTOINCREMENT where a number that a person has read must never mean something else later.
    static let requests = """
        CREATE TABLE requests (
            id INTEGER PRIMARY KEY AUTOINCREMENT, workload TEXT NOT NULL, kind TEXT NOT NULL, address TEXT, port INTEGER,
            transport INTEGER, name TEXT, count INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
            verdict TEXT NOT NULL, reason TEXT NOT NULL, executable TEXT, command TEXT NOT NULL, finding TEXT,
            CHECK ((address IS NULL) = (name IS NOT NULL)), CHECK ((address IS NULL) = (port IS NULL)),
            CHECK ((address IS NULL) = (transport IS NULL))
        ) STRICT;
        CREATE INDEX requests_last ON requests (last);

        """

    static let grants = """
        CREATE TABLE grants (
            id INTEGER PRIMARY KEY AUTOINCREMENT, workload TEXT NOT NULL, address TEXT, length INTEGER,
            port INTEGER, transport INTEGER, name TEXT, ports TEXT CHECK (ports <> ''), granted INTEGER NOT NULL,
            duration INTEGER NOT NULL, remaining INTEGER NOT NULL, saved INTEGER NOT NULL, reason TEXT NOT NULL,
            actor TEXT NOT NULL, request INTEGER, state TEXT NOT NULL CHECK (state IN ('active', 'revoked', 'expired')),
            protocol TEXT, CHECK ((address IS NULL) = (name IS NOT NULL)), CHECK ((address IS NULL) = (ports IS NOT NULL)),
            CHECK ((address IS NULL) = (length IS NULL)), CHECK ((address IS NULL) = (transport IS NULL)),
            CHECK (address IS NOT NULL OR port IS NULL)
        ) STRICT;
        CREATE INDEX grants_state ON grants (state, id);

        """

    static let pins = """
        CREATE TABLE pins (
            workload TEXT NOT NULL, name TEXT NOT NULL, address TEXT NOT NULL, learned INTEGER NOT NULL,
            expires INTEGER NOT NULL, PRIMARY KEY (workload, name, address)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX pins_expires ON pins (expires);

        """

    private static let others = """
        CREATE TABLE workloads (
            name TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE CHECK (number BETWEEN 0 AND 65535),
            generation INTEGER NOT NULL CHECK (generation BETWEEN 0 AND 255)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
        """
}
