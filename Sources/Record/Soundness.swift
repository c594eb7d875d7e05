import CSQLite
import Glibc

/// Whether a database is what egressd left: what SQLite does not see by itself, or only when a page is read.
enum Soundness {
    /// Up to this size the whole database is looked through, beyond it only what the daemon cannot do without.
    private static let thoroughLimit: Int64 = 64 << 20

    private static let tables = ["requests", "grants", "pins", "workloads", "meta"]

    /// Before the database is opened: SQLite takes a log that it cannot read for none, and what was committed last would be
    /// gone without a word, revocations too.
    static func check(filesOf path: String) throws(StoreError) {
        let log = try start(of: path + "-wal")
        guard log.count == WriteAheadLog.headerSize else { return }
        guard WriteAheadLog.isHeader(log) else {
            throw StoreError.corrupt("\(StateDirectory.databaseName)-wal does not begin as a log of SQLite does")
        }
        guard try !start(of: path).isEmpty else {
            throw StoreError.corrupt("\(StateDirectory.databaseName) is empty, and its log is not")
        }
    }

    /// After it was opened, with its tables in place: looks through its pages and reads every row that the daemon starts with.
    static func check(_ database: Database, _ reader: StoreReader) throws(StoreError) {
        let pages = try database.number("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size") ?? 0
        for scope in pages <= thoroughLimit ? ["1"] : tables {
            var found: String?
            try database.query("PRAGMA quick_check(\(scope))") { (row) throws(StoreError) in
                if found == nil { found = row.text(0) }
            }
            guard found == "ok" else { throw failure(found ?? "it cannot be checked") }
        }
        _ = try RecordNumbers(of: database)
        _ = try reader.workloadNumbers()
        _ = try reader.grants()
        _ = try reader.requests()
        _ = try reader.pins()
    }

    /// What the check has found: damage, unless pages could not be read just then: `error code=` and SQLite's result code for
    /// a page of a tree, `failed to get page` for others, whose numbers were found right before.
    static func failure(_ found: String) -> StoreError {
        let isUnread = found.contains("failed to get page")
        let codes = found.split(separator: "error code=").dropFirst().compactMap { Int32($0.prefix(while: \.isNumber)) }
        guard let code = codes.first(where: { $0 & 0xff != SQLITE_CORRUPT && $0 & 0xff != SQLITE_NOTADB }) else {
            guard !isUnread else {
                return .database(code: SQLITE_IOERR, operation: "looking through the record", message: found)
            }
            return .corrupt(found)
        }
        return .database(code: code, operation: "looking through the record", message: "a page cannot be read")
    }

    /// The first bytes of a file, as many as a log's header has; none when there is no file.
    private static func start(of path: String) throws(StoreError) -> [UInt8] {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else {
            guard errno == ENOENT else { throw StoreError.system(call: "open", path: path, code: errno) }
            return []
        }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: WriteAheadLog.headerSize)
        let count = unsafe pread(descriptor, &bytes, bytes.count, 0)
        guard count >= 0 else { throw StoreError.system(call: "read", path: path, code: errno) }
        return Array(bytes.prefix(count))
    }
}
