import Glibc
import Model

/// The database of a state directory, opened for writing and for reading, sound.
struct OpenedRecord {
    let database: Database
    let reader: StoreReader
    /// The one whose place it took just now.
    let aside: SetAside?

    /// Opens the database, and creates it when it is missing.
    ///
    /// One that is damaged is set aside and a new one begun. Any other error, a newer schema among them, changes nothing.
    static func open(in directory: String, faults: Faults?, now: WallTime) throws(StoreError) -> OpenedRecord {
        var numbers = RecordNumbers()
        do throws(StoreError) {
            return try sound(in: directory, faults, salvaging: &numbers)
        } catch {
            guard error.isDamage else { throw error }
            // A log that is none hides a database that may be sound.
            let path = "\(directory)/\(StateDirectory.databaseName)"
            if numbers == RecordNumbers(), let database = try? Database(withoutLog: path) {
                numbers = RecordNumbers(salvagedFrom: database)
            }
            let aside = try SetAside(directory: directory, because: error, numbers: numbers, at: now)
            return try begun(in: directory, after: aside, faults)
        }
    }

    /// A new record; when none can be begun, the error has to tell of the old one: the next start finds nothing amiss.
    private static func begun(
        in directory: String,
        after aside: SetAside,
        _ faults: Faults?,
    ) throws(StoreError) -> OpenedRecord {
        do throws(StoreError) {
            let database = try begin(in: directory, after: aside, faults)
            return OpenedRecord(database: database, reader: try StoreReader(directory: directory), aside: aside)
        } catch {
            let cause = "was set aside (\(aside.reason)), and no new record could be begun: \(error)"
            throw StoreError.refused(path: aside.path ?? directory, message: cause)
        }
    }

    /// Makes a database in the place of the one that was set aside, with the alarm about that as its first line.
    static func begin(in directory: String, after aside: SetAside, _ faults: Faults?) throws(StoreError) -> Database {
        let database = try file(in: directory, faults)
        try Schema.prepare(database)
        try database.transaction(durable: true) { () throws(StoreError) in
            try aside.numbers.write(to: database)
            var buffer: [UInt8] = []
            try aside.alarm.write(to: database, by: &buffer)
        }
        try StateDirectory.sync(directory)
        return database
    }

    private static func sound(
        in directory: String,
        _ faults: Faults?,
        salvaging numbers: inout RecordNumbers,
    ) throws(StoreError) -> OpenedRecord {
        try Soundness.check(filesOf: "\(directory)/\(StateDirectory.databaseName)")
        let database = try file(in: directory, faults)
        do throws(StoreError) {
            try Schema.prepare(database)
            try StateDirectory.sync(directory)
            let reader = try StoreReader(directory: directory)
            try Soundness.check(database, reader)
            return OpenedRecord(database: database, reader: reader, aside: nil)
        } catch {
            if error.isDamage { numbers = RecordNumbers(salvagedFrom: database) }
            throw error
        }
    }

    private static func file(in directory: String, _ faults: Faults?) throws(StoreError) -> Database {
        let path = "\(directory)/\(StateDirectory.databaseName)"
        close(try StateDirectory.openPrivate(path))
        return try Database(path: path, readOnly: false, faults: faults)
    }
}
