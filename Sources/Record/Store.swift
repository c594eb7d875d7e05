import Glibc
package import Model
import Synchronization

/// The record of a host: events, requests, grants, and what else outlives the daemon, in one SQLite database.
///
/// Any thread may call any function. One thread writes, and each function says whether it waits for it. Reads are on a
/// connection of their own, see what was committed, and wait for nobody.
package final class Store: Sendable {
    /// The same record, read-only.
    package let reader: StoreReader
    /// A descriptor that becomes readable after events were committed; call `acknowledge` before reading `lastSequence`.
    package let committed: Int32
    let writer: Writer
    private let notice: Int32
    private let lock: Int32
    private let isClosed = Atomic(false)

    /// Opens the record in the directory, creating both when they are missing, and keeps other daemons out of it.
    ///
    /// The directory must belong to the caller and be closed to others (0700 or 0750); its parent must exist. A damaged
    /// database is set aside and a new one begun, then and later: `health` tells.
    /// With a journal, the host's is told of every event after the record has it.
    package convenience init(directory: String, journal: Bool = false) throws(StoreError) {
        var options = Writer.Options()
        options.journal = journal ? Journal.path : nil
        try self.init(directory: directory, options: options, faults: nil)
    }

    /// As above; tests choose the time, and what fails.
    init(
        directory: String,
        options: Writer.Options,
        faults: Faults? = nil,
        now: WallTime = wallClock(),
    ) throws(StoreError) {
        try StateDirectory.prepare(directory)
        let lock = try StateDirectory.lock(directory)
        var pipe: [Int32] = [-1, -1]
        do throws(StoreError) {
            let opened = try OpenedRecord.open(in: directory, faults: faults, now: now)
            // Tidiness only: whoever reads pins looks at when they expire, and bounds them.
            try? PinRow.deleteExpired(at: now, from: opened.database)
            reader = opened.reader
            try openPipe(&pipe)
            writer = try Writer(opened, directory: directory, options: options, notice: pipe[1], faults: faults)
            try writer.start()
        } catch {
            flock(lock, LOCK_UN)
            for descriptor in pipe + [lock] where descriptor >= 0 { Glibc.close(descriptor) }
            throw error
        }
        self.lock = lock
        committed = pipe[0]
        notice = pipe[1]
    }

    deinit {
        close()
        Glibc.close(committed)
        Glibc.close(notice)
        // Closing alone leaves the lock to a child that was forked and has not run its program yet.
        flock(lock, LOCK_UN)
        Glibc.close(lock)
    }

    /// Opens the record for reading, beside a daemon or without one.
    package static func read(directory: String) throws(StoreError) -> StoreReader {
        try StoreReader(directory: directory)
    }

    /// Queues an event; its sequence number is given when it is written.
    ///
    /// Never waits for the disk. When the queue is full the event is counted as lost, the answer is false, and an alarm with
    /// the count is written in its place.
    @discardableResult
    package func append(_ event: Event) -> Bool { writer.append(event) }

    /// Waits until all events and changes queued before are on the disk.
    ///
    /// Throws when they could not be written now; they stay queued then.
    package func flush() throws(StoreError) { try writer.flush() }

    /// Writes what is queued, trying once, and ends the thread.
    ///
    /// What cannot be written is counted in `health.lost`.
    ///
    /// Reading still works afterwards; the lock is kept until the store goes.
    package func close() {
        guard !isClosed.exchange(true, ordering: .acquiringAndReleasing) else { return }
        writer.stop()
    }

    /// The highest sequence number that was committed; costs one load.
    package var lastSequence: Int64 { writer.lastSequence.load(ordering: .acquiring) }

    /// Makes `committed` wait for the next commit.
    package func acknowledge() {
        var buffer = [UInt8](repeating: 0, count: 512)
        while unsafe Glibc.read(committed, &buffer, buffer.count) == buffer.count {}
    }

    /// How the writer is doing.
    package var health: StoreHealth {
        writer.gate.lock()
        defer { writer.gate.unlock() }
        var health = writer.shared.health
        health.pending = writer.shared.incoming.count + writer.shared.held
        health.hasPendingChanges = writer.shared.holdsChanges || !writer.shared.changes.isEmpty
        return health
    }
}

/// The date.
func wallClock() -> WallTime {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return WallTime(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
}

/// Opens a pipe that no program started later inherits, and that never blocks.
private func openPipe(_ ends: inout [Int32]) throws(StoreError) {
    guard unsafe pipe(&ends) == 0 else { throw StoreError.system(call: "pipe", path: "record", code: errno) }
    for end in ends {
        guard fcntl(end, F_SETFD, FD_CLOEXEC) == 0, fcntl(end, F_SETFL, O_NONBLOCK) == 0 else {
            throw StoreError.system(call: "fcntl", path: "record", code: errno)
        }
    }
}
