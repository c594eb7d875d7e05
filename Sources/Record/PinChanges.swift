import Model

/// Changes of pins that are still to be written; only the last of each key is kept.
///
/// They are written in this order: everything is forgotten when `forgetsAll` says so, then whole workloads are, then come
/// the single rows.
struct PinChanges {
    /// How many changes may wait before the rows that expire first are given up.
    static let limit = PinRow.maximum * 3 / 2

    private(set) var forgetsAll = false
    private(set) var workloads: Set<String> = []
    /// The new row; nil where one is deleted.
    private(set) var rows: [PinRow.Key: PinRow?] = [:]

    var isEmpty: Bool { !forgetsAll && workloads.isEmpty && rows.isEmpty }

    mutating func upsert(_ pins: [PinRow]) {
        for pin in pins { rows.updateValue(pin, forKey: pin.key) }
        bound()
    }

    mutating func delete(_ keys: [PinRow.Key]) {
        for key in keys { rows.updateValue(nil, forKey: key) }
        bound()
    }

    mutating func forget(_ names: Set<String>) {
        guard !names.isEmpty else { return }
        rows = rows.filter { !names.contains($0.key.workload) }
        workloads.formUnion(names)
        bound()
    }

    /// Takes over newer changes.
    mutating func merge(_ newer: PinChanges) {
        guard !isEmpty, !newer.forgetsAll else {
            self = newer
            return
        }
        forget(newer.workloads)
        rows.merge(newer.rows) { $1 }
        bound()
    }

    /// When too much waits, because the disk is full, say: the newest pins become all that there are.
    ///
    /// A pin that is forgotten is asked for anew; one that was deleted must not come back.
    private mutating func bound() {
        guard rows.count + workloads.count > Self.limit else { return }
        let pins = rows.values.compactMap { $0 }
        let kept = pins.sorted { $0.storedExpiry > $1.storedExpiry }.prefix(PinRow.maximum)
        rows = Dictionary(uniqueKeysWithValues: kept.map { ($0.key, $0) })
        workloads = []
        forgetsAll = true
    }

    /// Writes the changes inside a transaction.
    ///
    /// `atMost` is how many rows the table holds at most, nil when nobody knows; then, and when it is too much, they are
    /// counted and the surplus goes.
    func write(to database: Database, atMost: inout Int?) throws(StoreError) {
        guard !isEmpty else { return }
        if forgetsAll { try database.run("DELETE FROM pins") }
        for name in workloads { try database.run("DELETE FROM pins WHERE workload = ?", [.text(name)]) }
        var written = 0
        for (key, row) in rows {
            guard let row else {
                try PinRow.delete(key, from: database)
                continue
            }
            try row.write(to: database)
            written += 1
        }
        guard written > 0 else { return }
        if let before = atMost, before + written <= PinRow.maximum + PinRow.slack {
            atMost = before + written
        } else {
            atMost = try PinRow.prune(database)
        }
    }
}
