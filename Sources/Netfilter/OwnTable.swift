/// egressd's own table as it stands, without its elements: to be compared with what it was.
package struct OwnTable: Hashable, Sendable {
    package internal(set) var chains: Set<String> = []
    package internal(set) var sets: Set<String> = []
    /// Everything that the kernel says of the table, its chains and its rules, their numbers included: what was taken away and
    /// added anew has others.
    var prints: Set<Int> = []

    package init() {}
}
