import Glibc
import Model
import Synchronization
import System

extension Writer {
    /// The thread: takes what is queued, writes it, and waits again until it is told to stop.
    func run() {
        ThreadName.set("record")
        while true {
            let (jobs, isStopping) = take()
            try? mend()
            for job in jobs { finish(job) { job.body(database) } }
            let wrote = writeBatch(isStopping: isStopping)
            if isStopping, !wrote || isDrained { break }
        }
        end()
    }

    private var isDrained: Bool {
        gate.lock()
        defer { gate.unlock() }
        return backlog.isEmpty && shared.incoming.isEmpty && shared.changes.isEmpty && shared.unreported == nil
    }

    /// Waits for something to do and takes it over.
    private func take() -> (jobs: [Job], isStopping: Bool) {
        gate.lock()
        defer { gate.unlock() }
        awaitWork()
        if backlog.isEmpty {
            reportLoss()
            backlog = shared.incoming[...]
            shared.held = backlog.count
            shared.incoming = []
        }
        changes.merge(shared.changes)
        shared.changes = Changes()
        shared.holdsChanges = !changes.isEmpty
        flushes += shared.flushes
        shared.flushes = []
        damage = shared.damage ?? damage
        shared.damage = nil
        defer { shared.jobs = [] }
        hasJobs.store(false, ordering: .relaxed)
        return (shared.jobs, shared.isStopping)
    }

    private func awaitWork() {
        var lingerUntil: Int64?
        while !shared.isStopping, shared.jobs.isEmpty, shared.flushes.isEmpty, flushes.isEmpty, shared.damage == nil {
            if let retryAt {
                guard ConditionLock.now() < retryAt else { return }
                gate.wait(for: .work, until: retryAt)
            } else if !backlog.isEmpty || shared.incoming.count >= options.batch {
                return
            } else if !shared.incoming.isEmpty || !shared.changes.isEmpty || shared.unreported != nil {
                let now = ConditionLock.now()
                let deadline = lingerUntil ?? now + options.linger
                guard now < deadline else { return }
                lingerUntil = deadline
                gate.wait(for: .work, until: deadline)
            } else {
                shared.isSleeping = true
                gate.wait(for: .work)
                shared.isSleeping = false
            }
        }
    }

    /// Writes the first events of the backlog, and the changes; false when that failed and they stay where they are.
    private func writeBatch(isStopping: Bool) -> Bool {
        do throws(StoreError) {
            try mend()
        } catch {
            fail(error)
            return false
        }
        guard !backlog.isEmpty || !changes.isEmpty || !flushes.isEmpty else {
            retryAt = nil
            return true
        }
        let durable = isStopping || !flushes.isEmpty
        do throws(StoreError) {
            let count = try database.transaction(durable: durable) { () throws(StoreError) in
                // A transaction that writes nothing would not reach the disk.
                if durable { try database.run("INSERT OR REPLACE INTO meta VALUES ('flushed', 'yes')") }
                try changes.write(to: database, pinsAtMost: &pinsAtMost)
                return try insertEvents()
            }
            changes = Changes()
            settle(count)
            return true
        } catch {
            // Nothing of it was written: the whole batch goes into the record that takes the place of this one.
            if error.isDamage, damage == nil, mayReplace {
                damage = error
                return writeBatch(isStopping: isStopping)
            }
            fail(error)
            return false
        }
    }

    /// Inserts one batch, or less when somebody waits for a job; how many.
    private func insertEvents() throws(StoreError) -> Int {
        var sequence = lastSequence.load(ordering: .relaxed)
        var count = 0
        var request: Int64 = 0
        var body: [UInt8] = []
        for var event in backlog.prefix(options.batch) {
            if count & 63 == 63, hasJobs.load(ordering: .relaxed) { break }
            sequence += 1
            count += 1
            event.sequence = sequence
            request = max(request, event.request ?? 0)
            try event.write(to: database, by: &body)
        }
        if request > 0 { try RecordNumbers.pass(request: request, in: database) }
        return count
    }

    private func settle(_ count: Int) {
        if let journal { tell(journal, of: backlog.prefix(count)) }
        backlog = backlog.dropFirst(count)
        // A slice keeps the whole array alive until its last element goes.
        if backlog.isEmpty { backlog = [] }
        settled += UInt64(count)
        retryAt = nil
        // The number first: who is woken by the notice looks at it.
        if count > 0 { lastSequence.add(Int64(count), ordering: .releasing) }
        gate.lock()
        shared.held = backlog.count
        shared.holdsChanges = false
        shared.health.written += UInt64(count)
        shared.health.lastError = nil
        for flush in flushes where flush.target <= settled { flush.outcome = .success(()) }
        flushes.removeAll { $0.target <= settled }
        gate.signal(.done)
        gate.unlock()
        // A full pipe is readable already, which is all that it has to be.
        if count > 0 { _ = unsafe write(notice, "!", 1) }
    }

    /// Tells of events that were committed just now, and have the next sequence numbers.
    private func tell(_ journal: Journal, of events: ArraySlice<Event>) {
        var sequence = lastSequence.load(ordering: .relaxed)
        for var event in events {
            sequence += 1
            event.sequence = sequence
            journal.send(event)
        }
    }

    private func fail(_ error: StoreError) {
        retryAt = ConditionLock.now() + options.retry
        // What was counted was rolled back.
        pinsAtMost = nil
        gate.lock()
        shared.health.lastError = error
        for flush in flushes { flush.outcome = .failure(error) }
        flushes = []
        gate.signal(.done)
        gate.unlock()
    }

    private func finish(_ job: Job, _ body: () -> Void) {
        body()
        gate.lock()
        job.isFinished = true
        gate.signal(.done)
        gate.unlock()
    }

    /// Closes the database; what could not be written is lost, and counted.
    private func end() {
        gate.lock()
        let left = UInt64(backlog.count + shared.incoming.count)
        shared.health.lost += left
        shared.incoming = []
        shared.held = 0
        for flush in flushes + shared.flushes { flush.outcome = .failure(shared.health.lastError ?? .closed) }
        for job in shared.jobs { job.isFinished = true }
        shared.hasEnded = true
        gate.signal(.done)
        gate.unlock()
        backlog = []
        // Tidiness only: the next start reads the log just as well.
        try? database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
    }
}
