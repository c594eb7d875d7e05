import CLinux

/// Wakes an event loop from any thread (an eventfd).
///
/// Add `rawValue` to the loop with `.read`, and call `drain` first thing in the handler: what was signalled before
/// counts as one, what is signalled after wakes the loop again. Keep the value for as long as the loop watches it: the
/// descriptor is closed with it.
package final class Wakeup: Sendable {
    /// The descriptor to wait on.
    package let rawValue: Int32

    /// A wakeup that nobody has signalled.
    package init() throws(Errno) {
        rawValue = try Errno.check(clx_event_create())
    }

    deinit { _ = clx_close(rawValue) }

    /// Wakes the loop; never blocks.
    package func signal() { _ = clx_event_signal(rawValue) }

    /// Takes the signals back.
    package func drain() { _ = clx_counter_drain(rawValue) }
}
