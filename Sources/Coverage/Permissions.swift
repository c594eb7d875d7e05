/// Owner, group and mode of a file.
package struct Permissions: Hashable, Sendable {
    package let owner: UInt32
    package let group: UInt32
    package let mode: UInt32

    package init(owner: UInt32, group: UInt32, mode: UInt32) {
        self.owner = owner
        self.group = group
        self.mode = mode
    }

    /// Whether the class that the actor falls into has these bits (1 to search a folder, 2 to write).
    func grants(_ bits: UInt32, to actor: Actor) -> Bool {
        let shift: UInt32 = actor.uid == owner ? 6 : actor.groups.contains(group) ? 3 : 0
        return mode >> shift & bits == bits
    }
}
