import Glibc
import Model

/// A damaged database that was moved out of the way, and what of it goes on in the one that takes its place.
struct SetAside {
    /// Where it is now; nil when nothing was left of it.
    let path: String?
    /// What was found wrong with it.
    let reason: StoreError
    let time: WallTime
    let numbers: RecordNumbers

    /// Moves the database of a state directory, with its log, beside itself.
    ///
    /// The names are on the disk with the next `StateDirectory.sync`. Whoever has it open keeps it open: it must be closed
    /// before another is made at its place, because SQLite removes the log of the last that closes by its name.
    init(
        directory: String,
        because reason: StoreError,
        numbers: RecordNumbers,
        at time: WallTime,
    ) throws(StoreError) {
        let stamp = String(time.description.filter { $0 != "-" && $0 != ":" })
        let before = "\(directory)/\(StateDirectory.databaseName)"
        let after = "\(before).corrupt-\(stamp)"
        // The database first: a log that is left alone is noticed by the next start, a database without its log is not.
        let isMoved = try Self.move(before, to: after)
        for suffix in ["-wal", "-shm"] { _ = try Self.move(before + suffix, to: after + suffix) }
        path = isMoved ? after : nil
        self.reason = reason
        self.time = time
        self.numbers = numbers
    }

    /// The first line of the record that takes its place.
    var alarm: Event {
        var event = Event(time: time, kind: .alarm)
        event.sequence = numbers.event + 1
        let whereabouts = path.map { "set aside as \($0) (read it with: sqlite3 \($0) .recover)" } ?? "gone"
        event.message =
            "\(reason); the record was \(whereabouts), and a new one starts here without the events, grants and pins of the old"
        return event
    }

    private static func move(_ before: String, to after: String) throws(StoreError) -> Bool {
        if unsafe rename(before, after) == 0 { return true }
        guard errno == ENOENT else { throw StoreError.system(call: "rename", path: before, code: errno) }
        return false
    }
}
