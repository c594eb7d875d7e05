import CSQLite

/// What is bound to a parameter.
enum Value {
    case null
    case integer(Int64)
    case text(String)
    /// Text that is there as UTF-8 bytes already.
    case utf8([UInt8])

    init(_ text: String?) { self = text.map { .text($0) } ?? .null }
    init(_ number: Int64?) { self = number.map { .integer($0) } ?? .null }
}

/// One connection to SQLite with its prepared statements.
///
/// Used by one thread at a time, which its owner sees to.
@safe
final class Database {
    private var handle: OpaquePointer?
    private var statements: [String: Statement] = [:]
    private let faults: Faults?
    /// Whether `synchronous` is FULL; nil when setting it failed.
    private var isFull: Bool? = false

    /// Opens the file, which exists; read-only when asked.
    convenience init(path: String, readOnly: Bool, faults: Faults? = nil) throws(StoreError) {
        let access = readOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE
        try self.init(name: path, path: path, access, faults)
    }

    /// Opens the file alone for reading, as if it had no write-ahead log; nothing of it and beside it is touched.
    convenience init(withoutLog path: String) throws(StoreError) {
        // What has a meaning in a URI (https://sqlite.org/uri.html).
        let escaped = path.map { ["%": "%25", "?": "%3f", "#": "%23"][$0] ?? String($0) }
        let name = "file:\(escaped.joined())?immutable=1"
        try self.init(name: name, path: path, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, nil)
    }

    private init(name: String, path: String, _ access: Int32, _ faults: Faults?) throws(StoreError) {
        self.faults = faults
        var opened: OpaquePointer?
        let flags = access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
        let code = call { unsafe sqlite3_open_v2(name, &opened, flags, nil) }
        unsafe handle = opened
        guard code == SQLITE_OK else {
            let error = failure(code, "open \(path)")
            unsafe sqlite3_close_v2(opened)
            unsafe handle = nil
            throw error
        }
        // The loop waits for the writer now and then: who holds a lock for longer is tried again later.
        unsafe sqlite3_busy_timeout(opened, 250)
    }

    deinit { close() }

    /// Finalizes the statements and closes; later calls fail.
    func close() {
        statements.removeAll()
        unsafe sqlite3_close_v2(handle)
        unsafe handle = nil
    }

    /// Runs statements without parameters and without rows that matter.
    func execute(_ sql: String) throws(StoreError) {
        guard unsafe handle != nil else { throw StoreError.closed }
        let code = call { unsafe sqlite3_exec(handle, sql, nil, nil, nil) }
        guard code == SQLITE_OK else { throw failure(code, sql) }
    }

    /// Runs one statement to its end; the statement is kept prepared.
    func run(_ sql: String, _ values: [Value] = []) throws(StoreError) {
        try query(sql, values) { (_) throws(StoreError) in }
    }

    /// Runs one statement and gives each row to `body`; the statement is kept prepared.
    func query(
        _ sql: String,
        _ values: [Value] = [],
        _ body: (Row) throws(StoreError) -> Void,
    ) throws(StoreError) {
        let statement = try prepare(sql)
        defer { statement.reset() }
        for (index, value) in values.enumerated() {
            let code = statement.bind(value, at: Int32(index + 1))
            guard code == SQLITE_OK else { throw failure(code, sql) }
        }
        while true {
            let code = call { statement.step() }
            if code == SQLITE_DONE { return }
            guard code == SQLITE_ROW else { throw failure(code, sql) }
            try body(Row(statement))
        }
    }

    /// The first column of the first row as a number; nil without a row or when it is NULL.
    func number(_ sql: String, _ values: [Value] = []) throws(StoreError) -> Int64? {
        var found: Int64?
        try query(sql, values) { (row) throws(StoreError) in if found == nil { found = row.integer(0) } }
        return found
    }

    /// Runs `body` in a transaction that is rolled back when it, or the commit, fails.
    ///
    /// A durable one is on the disk when this returns, and with it every transaction before; another survives the end of
    /// the process, but not a loss of power.
    func transaction<Answer>(
        durable: Bool,
        _ body: () throws(StoreError) -> Answer,
    ) throws(StoreError) -> Answer {
        guard unsafe handle != nil else { throw StoreError.closed }
        // A rollback that failed would make every later BEGIN fail as well.
        rollback()
        if durable != isFull {
            isFull = nil
            try execute(durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL")
            isFull = durable
        }
        try execute("BEGIN IMMEDIATE")
        do {
            let answer = try body()
            try execute("COMMIT")
            return answer
        } catch {
            rollback()
            throw error
        }
    }

    private func rollback() {
        guard unsafe sqlite3_get_autocommit(handle) == 0 else { return }
        unsafe sqlite3_exec(handle, "ROLLBACK", nil, nil, nil)
    }

    private func prepare(_ sql: String) throws(StoreError) -> Statement {
        if let statement = statements[sql] { return statement }
        guard unsafe handle != nil else { throw StoreError.closed }
        var prepared: OpaquePointer?
        let code = call {
            unsafe sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, nil)
        }
        guard code == SQLITE_OK, let pointer = unsafe prepared else {
            unsafe sqlite3_finalize(prepared)
            throw failure(code, sql)
        }
        let statement = unsafe Statement(pointer)
        // Log queries differ by which filters are set; their number is small but better bounded than trusted.
        if statements.count >= 128 { statements.removeAll() }
        statements[sql] = statement
        return statement
    }

    private func call(_ body: () -> Int32) -> Int32 {
        guard let fault = faults?.next() else { return body() }
        if fault.completes { _ = body() }
        return fault.code
    }

    private func failure(_ code: Int32, _ operation: String) -> StoreError {
        // SQLite's words are about its own last error, which an injected one is not.
        let isLast = unsafe handle != nil && sqlite3_extended_errcode(handle) == code
        let text = unsafe isLast ? sqlite3_errmsg(handle) : sqlite3_errstr(code)
        return StoreError.database(
            code: code,
            operation: String(operation.prefix(60)),
            message: unsafe text.map { unsafe String(cString: $0) } ?? "unknown error",
        )
    }
}
