import Glibc
import Model
import Synchronization

/// The thread that alone writes to the database, and the bounded queue in front of it.
///
/// `shared` is guarded by `gate`; the other variables belong to the thread once it runs.
final class Writer: @unchecked Sendable {
    /// How big the queue is and how the thread waits; tests make these small.
    struct Options: Sendable {
        /// How many events may wait.
        var capacity = 65_536
        /// How many events one transaction takes.
        var batch = 4096
        /// How long the first event of a batch waits for others, in nanoseconds.
        var linger: Int64 = 5_000_000
        /// How long to wait before a record that took the place of a damaged one is set aside as well, in nanoseconds: a disk
        /// that damages everything must not be filled with what it damaged.
        var patience: Int64 = 60_000_000_000
        /// How long to wait after a failure, in nanoseconds.
        var retry: Int64 = 1_000_000_000
        /// The journal that is told of what was written; nil for none.
        var journal: String?
    }

    /// A call that runs on the thread between two batches.
    final class Job: @unchecked Sendable {
        let body: (Database) -> Void
        /// Guarded by the writer's lock.
        var isFinished = false

        init(_ body: @escaping (Database) -> Void) { self.body = body }
    }

    /// A caller that waits until all up to `target` is on the disk.
    final class Flush: @unchecked Sendable {
        let target: UInt64
        /// Guarded by the writer's lock.
        var outcome: Result<Void, StoreError>?

        init(target: UInt64) { self.target = target }
    }

    struct Shared {
        var incoming: [Event] = []
        /// Events the thread took and has not committed.
        var held = 0
        var changes = Changes()
        /// Whether the thread took changes and has not committed them.
        var holdsChanges = false
        var jobs: [Job] = []
        var flushes: [Flush] = []
        /// Events that were let into the queue, alarms about lost ones included.
        var admitted: UInt64 = 0
        var health = StoreHealth()
        /// What a reader found wrong with the database.
        var damage: StoreError?
        /// Events that were lost since the last alarm, and when the last of them happened.
        var unreported: (count: UInt64, time: WallTime)?
        var isSleeping = false
        var isStopping = false
        var hasEnded = false
    }

    let gate = ConditionLock()
    var shared = Shared()
    /// The highest sequence number that was committed.
    let lastSequence: Atomic<Int64>
    let hasJobs = Atomic(false)

    let options: Options
    let directory: String
    let reader: StoreReader
    let faults: Faults?
    var database: Database
    /// The file that it is.
    var identity: FileIdentity?
    /// Why the database has to be set aside.
    var damage: StoreError?
    /// What was set aside, until another has taken its place.
    var aside: SetAside?
    /// When that happened last, on the clock of `ConditionLock`.
    var replacedAt: Int64?
    /// The end of a pipe that gets a byte after each commit of events.
    let notice: Int32
    let journal: Journal?
    var backlog = ArraySlice<Event>()
    var changes = Changes()
    /// How many pins the table holds at most; nil when they must be counted.
    var pinsAtMost: Int?
    var flushes: [Flush] = []
    /// How many admitted events were committed.
    var settled: UInt64 = 0
    var retryAt: Int64?
    private var thread = pthread_t()

    init(
        _ opened: OpenedRecord,
        directory: String,
        options: Options,
        notice: Int32,
        faults: Faults?,
    ) throws(StoreError) {
        self.database = opened.database
        self.identity = try StateDirectory.identity(ofDatabaseIn: directory)
        self.reader = opened.reader
        self.directory = directory
        self.options = options
        self.notice = notice
        self.faults = faults
        self.journal = options.journal.flatMap { Journal(path: $0) }
        self.lastSequence = Atomic(try RecordNumbers(of: opened.database).event)
        if let aside = opened.aside { note(aside) }
    }

    /// Starts the thread, which keeps the writer until `stop`.
    func start() throws(StoreError) {
        let context = unsafe Unmanaged.passRetained(self)
        // Signals are for the thread that asked for them by signalfd.
        var all = sigset_t()
        var before = sigset_t()
        unsafe sigfillset(&all)
        unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
        let code = unsafe pthread_create(
            &thread,
            nil,
            { context in
                if let context = unsafe context {
                    unsafe Unmanaged<Writer>.fromOpaque(context).takeRetainedValue().run()
                }
                return nil
            },
            context.toOpaque(),
        )
        unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
        guard code == 0 else {
            unsafe context.release()
            throw StoreError.system(call: "pthread_create", path: "record", code: code)
        }
    }

    /// Writes what is queued, trying once, and ends the thread.
    ///
    /// Only the first call does anything.
    func stop() {
        gate.lock()
        let isFirst = !shared.isStopping
        shared.isStopping = true
        gate.signal(.work)
        gate.unlock()
        if isFirst { pthread_join(thread, nil) }
    }

    /// Queues an event without waiting for the disk; false when it had to be counted as lost.
    func append(_ event: Event) -> Bool {
        gate.lock()
        defer { gate.unlock() }
        guard !shared.isStopping, shared.incoming.count + shared.held < options.capacity else {
            shared.health.lost += 1
            // Once it stops, nobody is left to write an alarm.
            if !shared.isStopping { shared.unreported = ((shared.unreported?.count ?? 0) + 1, event.time) }
            return false
        }
        reportLoss()
        shared.incoming.append(event)
        shared.admitted += 1
        // A signal is a system call; between the first event of a batch and its limit nobody needs one.
        if shared.isSleeping || shared.incoming.count == options.batch {
            shared.isSleeping = false
            gate.signal(.work)
        }
        return true
    }

    /// Puts the alarm about lost events where they would have stood.
    ///
    /// Called with the lock held.
    func reportLoss() {
        guard let (count, time) = shared.unreported else { return }
        var alarm = Event(time: time, kind: .alarm)
        alarm.count = count
        alarm.message = "\(count) events were lost: the queue of the record was full (\(options.capacity))"
        shared.incoming.append(alarm)
        shared.admitted += 1
        shared.unreported = nil
    }

    /// Runs `body` on the thread and waits for its answer.
    func perform<Answer: Sendable>(
        _ body: @escaping @Sendable (Database) throws(StoreError) -> Answer
    ) throws(StoreError) -> Answer {
        let answer = Answered<Answer>()
        let job = Job { database in
            let result = Result { () throws(StoreError) in try body(database) }
            if case .failure(let error) = result, error.isDamage { self.damage = error }
            answer.result.withLock { $0 = result }
        }
        gate.lock()
        defer { gate.unlock() }
        guard !shared.isStopping else { throw StoreError.closed }
        shared.jobs.append(job)
        hasJobs.store(true, ordering: .relaxed)
        gate.signal(.work)
        while !job.isFinished { gate.wait(for: .done) }
        return try answer.result.withLock { $0 }.get()
    }

    /// Waits until all that was queued before is on the disk.
    func flush() throws(StoreError) {
        gate.lock()
        guard !shared.isStopping else {
            gate.unlock()
            throw StoreError.closed
        }
        reportLoss()
        let flush = Flush(target: shared.admitted)
        shared.flushes.append(flush)
        gate.signal(.work)
        while flush.outcome == nil { gate.wait(for: .done) }
        let outcome = flush.outcome
        gate.unlock()
        try outcome?.get()
    }
}

/// Where the thread leaves the answer of a job.
private final class Answered<Answer: Sendable>: Sendable {
    let result = Mutex<Result<Answer, StoreError>>(.failure(.closed))
}
