/// How the writer is doing.
package struct StoreHealth: Hashable, Sendable {
    /// Events that were taken and are not in the database yet.
    package var pending: Int
    /// Whether rows of requests, grants or pins were taken and are not in the database yet.
    package var hasPendingChanges: Bool
    /// Events that were committed since the start.
    package var written: UInt64
    /// Events that were refused because the queue was full or the store closed, or that closing had to give up.
    package var lost: UInt64
    /// What the last attempt to write failed with; nil once one succeeded.
    package var lastError: StoreError?
    /// How many times a damaged record was set aside and a new one begun, at the start or since.
    package var replacements: UInt64
    /// What was said of the last of them, in the first line of the new record.
    package var lastReplacement: String?

    package init(
        pending: Int = 0,
        hasPendingChanges: Bool = false,
        written: UInt64 = 0,
        lost: UInt64 = 0,
        lastError: StoreError? = nil,
        replacements: UInt64 = 0,
        lastReplacement: String? = nil,
    ) {
        self.pending = pending
        self.hasPendingChanges = hasPendingChanges
        self.written = written
        self.lost = lost
        self.lastError = lastError
        self.replacements = replacements
        self.lastReplacement = lastReplacement
    }
}
