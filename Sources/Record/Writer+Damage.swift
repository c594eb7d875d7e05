import Glibc
import Model
import Synchronization

extension Writer {
    /// Has the database set aside for what a reader found; any thread may call it.
    func report(damage: StoreError) {
        gate.lock()
        defer { gate.unlock() }
        guard !shared.isStopping, shared.damage == nil else { return }
        shared.damage = damage
        shared.isSleeping = false
        gate.signal(.work)
    }

    /// Whether a damaged database may be set aside now.
    var mayReplace: Bool { replacedAt.map { ConditionLock.now() - $0 >= options.patience } ?? true }

    /// Puts a new database in the place of one that is damaged, if there is cause; on the thread.
    ///
    /// Events and changes that wait are written to the new one. What fails half-way goes on where it was with the next call.
    func mend() throws(StoreError) {
        // SQLite would go on writing into a file that has no name any more.
        if damage == nil, aside == nil {
            let found = try StateDirectory.identity(ofDatabaseIn: directory)
            if let identity, found != identity {
                damage = .corrupt("\(StateDirectory.databaseName) was removed or replaced")
            }
            identity = identity ?? found
        }
        if let reason = damage, aside == nil {
            damage = nil
            guard mayReplace else { throw reason }
            let aside = try SetAside(
                directory: directory,
                because: reason,
                numbers: numbers(),
                at: wallClock(),
            )
            self.aside = aside
            database.close()
            reader.close()
        }
        guard let aside else { return }
        damage = nil
        database = try OpenedRecord.begin(in: directory, after: aside, faults)
        try reader.reopen(directory: directory)
        self.aside = nil
        identity = try? StateDirectory.identity(ofDatabaseIn: directory)
        replacedAt = ConditionLock.now()
        // Nobody knows what the caller of a new record writes into it first.
        pinsAtMost = nil
        lastSequence.store(aside.alarm.sequence, ordering: .releasing)
        journal?.send(aside.alarm)
        note(aside)
        _ = unsafe write(notice, "!", 1)
    }

    /// What the new record goes on from: events by what was written, the others by what can still be read.
    private func numbers() -> RecordNumbers {
        var numbers = RecordNumbers(salvagedFrom: database)
        numbers.event = lastSequence.load(ordering: .relaxed)
        return numbers
    }

    /// Counts a replacement.
    func note(_ aside: SetAside) {
        gate.lock()
        defer { gate.unlock() }
        shared.health.replacements += 1
        shared.health.lastReplacement = aside.alarm.message
        shared.health.lastError = nil
    }
}
