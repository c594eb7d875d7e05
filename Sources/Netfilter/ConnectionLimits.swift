/// How full the kernel's connection table is.
package struct ConnectionLimits: Hashable, Sendable {
    package var entries: UInt32
    /// How many entries there may be; 0 where the kernel does not tell.
    package var limit: UInt32
    /// How many packets found no room, since the network namespace was made; it may wrap.
    package var dropped: UInt64

    /// Whether hardly an entry is free.
    package var isNearlyFull: Bool { limit > 0 && UInt64(entries) * 100 >= UInt64(limit) * 95 }
}
