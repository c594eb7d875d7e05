/// Why the store could not do what it was asked.
package enum StoreError: Error, Hashable, Sendable {
    /// Another daemon holds the lock of the state directory; its pid when it left one.
    case locked(directory: String, pid: Int32?)
    /// The state directory or a file in it is not as it must be; the message says how to mend it.
    case refused(path: String, message: String)
    /// A system call failed.
    case system(call: String, path: String, code: Int32)
    /// SQLite failed: its extended result code, what was being done, and its own words.
    case database(code: Int32, operation: String, message: String)
    /// A newer egressd wrote the database.
    case newerSchema(found: Int64, known: Int64)
    /// A row does not hold what its column promises.
    case corrupt(String)
    /// The store was closed.
    case closed
}

extension StoreError: CustomStringConvertible {
    /// One line for a person.
    package var description: String {
        switch self {
        case .locked(let directory, let pid):
            "another egressd (\(pid.map { "pid \($0)" } ?? "pid unknown")) uses the state in \(directory)"
        case .refused(let path, let message): "\(path): \(message)"
        case .system(let call, let path, let code): "\(call) \(path): \(errorText(code))\(Self.mend(ofSystem: code))"
        case .database(let code, let operation, let message):
            "\(operation): \(message) (SQLite \(code))\(Self.mend(ofDatabase: code))"
        case .newerSchema(let found, let known):
            "the record has schema \(found), and this egressd knows \(known); use the egressd that wrote it, or a newer one, "
                + "or move the record away"
        case .corrupt(let row): "the record is damaged: \(row)"
        case .closed: "the store is closed"
        }
    }
}
