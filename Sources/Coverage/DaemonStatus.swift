/// The daemon, by its own words.
package struct DaemonStatus: Hashable, Sendable {
    package var version: String
    package var observesOnly: Bool
    package var unidentified: String
    package var workloads: Int
    package var eventsLost: Int
    package var warnings: [String]

    package init(
        version: String,
        observesOnly: Bool,
        unidentified: String,
        workloads: Int,
        eventsLost: Int,
        warnings: [String],
    ) {
        self.version = version
        self.observesOnly = observesOnly
        self.unidentified = unidentified
        self.workloads = workloads
        self.eventsLost = eventsLost
        self.warnings = warnings
    }
}
