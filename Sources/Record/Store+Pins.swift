extension Store {
    /// The pins that were committed, the last to expire first and then those that have ended, at most `PinRow.maximum`.
    ///
    /// Which of them have expired is the caller's to judge.
    package func pins() throws(StoreError) -> [PinRow] { try reader.pins() }

    /// Queues rows to be written with the next events; does not wait.
    ///
    /// Of all changes of a key, deletions included, the last is what counts.
    package func upsertPins(_ rows: [PinRow]) {
        guard !rows.isEmpty else { return }
        queue { $0.pins.upsert(rows) }
    }

    /// Queues the deletion of rows; does not wait.
    package func deletePins(_ keys: [PinRow.Key]) {
        guard !keys.isEmpty else { return }
        queue { $0.pins.delete(keys) }
    }

    /// Queues the deletion of all rows of a workload that there are by now, queued ones included; does not wait.
    package func deletePins(ofWorkload workload: String) { queue { $0.pins.forget([workload]) } }
}
