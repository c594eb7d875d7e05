/// What to wait for on a descriptor.
package struct Interest: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let read = Interest(rawValue: 1)
    package static let write = Interest(rawValue: 4)
}

/// What a descriptor is ready for.
///
/// A hang-up or an error is told whether asked for or not.
package struct Readiness: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let read = Readiness(rawValue: 1)
    package static let write = Readiness(rawValue: 4)
    package static let error = Readiness(rawValue: 8)
    package static let hangUp = Readiness(rawValue: 16)
}

/// A descriptor that an event loop watches; of no use once it was removed.
package struct Registration: Hashable, Sendable {
    let slot: UInt32
    let generation: UInt32

    /// What epoll carries: never the bare descriptor, whose number the kernel gives to the next file.
    var data: UInt64 { UInt64(generation) << 32 | UInt64(slot) }
}
