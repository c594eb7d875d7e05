package import Model

/// When a search must have ended: by the time since boot, and by the thread's own time on a processor.
package struct SearchDeadline: Hashable, Sendable {
    package let wall: Instant
    package let processor: Instant

    package init(wall: Instant, processor: Instant) {
        self.wall = wall
        self.processor = processor
    }

    /// Whether either time has come.
    package var isOver: Bool { Clock.processor() >= processor || Clock.now() >= wall }
}
