import Model

extension Event {
    /// Writes the event as the line of its sequence number; the buffer is only there to be used again.
    func write(to database: Database, by buffer: inout [UInt8]) throws(StoreError) {
        buffer.removeAll(keepingCapacity: true)
        json.write(into: &buffer)
        // REPLACE, because a commit that reported failure may have succeeded, and is then written again.
        try database.run(
            "INSERT OR REPLACE INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            [
                .integer(sequence), .integer(time.microseconds), .text(kind.rawValue), Value(verdict?.rawValue),
                Value(workload), .utf8(buffer), Value(name),
            ],
        )
    }
}
