import CSQLite

/// A prepared statement; finalized when the last reference goes.
@safe
final class Statement {
    private let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { unsafe self.pointer = pointer }

    deinit { unsafe sqlite3_finalize(pointer) }

    /// Binds a value to the parameter, counted from 1; SQLite's result code.
    func bind(_ value: Value, at index: Int32) -> Int32 {
        switch value {
        case .null: unsafe sqlite3_bind_null(pointer, index)
        case .integer(let number): unsafe sqlite3_bind_int64(pointer, index, number)
        case .text(let text): bind(Array(text.utf8), at: index)
        case .utf8(let bytes): bind(bytes, at: index)
        }
    }

    private func bind(_ bytes: [UInt8], at index: Int32) -> Int32 {
        // SQLITE_TRANSIENT, which is a cast that Swift does not import: SQLite copies the bytes.
        let transient = unsafe unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        // An empty array may have no address, and a null address would bind NULL.
        guard !bytes.isEmpty else { return unsafe sqlite3_bind_text(pointer, index, "", 0, transient) }
        return unsafe bytes.withUnsafeBytes { buffer in
            unsafe sqlite3_bind_text64(
                pointer,
                index,
                buffer.baseAddress?.assumingMemoryBound(to: CChar.self),
                UInt64(buffer.count),
                transient,
                UInt8(SQLITE_UTF8),
            )
        }
    }

    func step() -> Int32 { unsafe sqlite3_step(pointer) }

    /// Makes the statement ready to run again; what it failed with was reported by `step`.
    func reset() {
        unsafe sqlite3_reset(pointer)
        unsafe sqlite3_clear_bindings(pointer)
    }

    /// The column of the current row as a number; nil when NULL.
    func integer(_ column: Int32) -> Int64? {
        guard unsafe sqlite3_column_type(pointer, column) != SQLITE_NULL else { return nil }
        return unsafe sqlite3_column_int64(pointer, column)
    }

    /// The column of the current row as UTF-8; nil when NULL.
    func bytes(_ column: Int32) -> [UInt8]? {
        guard unsafe sqlite3_column_type(pointer, column) != SQLITE_NULL else { return nil }
        // The order matters: the text first, which may convert, and then its length.
        guard let text = unsafe sqlite3_column_text(pointer, column) else { return [] }
        let count = unsafe Int(sqlite3_column_bytes(pointer, column))
        return unsafe Array(UnsafeBufferPointer(start: text, count: count))
    }
}

/// The current row of a statement; valid only inside the closure that it was given to.
struct Row {
    private let statement: Statement

    init(_ statement: Statement) { self.statement = statement }

    func integer(_ column: Int32) -> Int64? { statement.integer(column) }
    func bytes(_ column: Int32) -> [UInt8]? { statement.bytes(column) }
    func text(_ column: Int32) -> String? { statement.bytes(column).map { String(decoding: $0, as: UTF8.self) } }

    /// The number of a column that fits `Number`; an error that names the row otherwise.
    func required<Number: FixedWidthInteger>(_ column: Int32, of row: String) throws(StoreError) -> Number {
        guard let value = integer(column), let number = Number(exactly: value) else {
            throw StoreError.corrupt("column \(column) of \(row)")
        }
        return number
    }

    /// The text of a column, read as `Value`; an error that names the row when it is none.
    func required<Value>(_ column: Int32, of row: String, _ read: (String) -> Value?) throws(StoreError) -> Value {
        guard let text = text(column), let value = read(text) else {
            throw StoreError.corrupt("column \(column) of \(row)")
        }
        return value
    }
}
