/// The table `inet egressd`.
package struct TableFacts: Hashable, Sendable {
    /// Whether others can neither flush nor delete it.
    package var isOwned: Bool
    /// Whether it outlives its owner.
    package var persists: Bool

    package init(isOwned: Bool, persists: Bool) {
        self.isOwned = isOwned
        self.persists = persists
    }
}
