/// The processes of the host.
package struct Processes: Hashable, Sendable {
    /// Those of workloads, and the users of workloads without one.
    package var actors: [Actor]
    /// How many belong to no workload, the kernel's threads and the report's own left out.
    package var unidentified: Int
    /// How many of those are in other network namespaces.
    package var elsewhere: Int
    /// Whether some could not be looked at.
    package var areAll: Bool

    package init(actors: [Actor], unidentified: Int = 0, elsewhere: Int = 0, areAll: Bool = true) {
        self.actors = actors
        self.unidentified = unidentified
        self.elsewhere = elsewhere
        self.areAll = areAll
    }
}
