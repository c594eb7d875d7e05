import CLinux
package import Model

/// The clocks of the host.
package enum Clock {
    /// The time since boot, suspends included (`CLOCK_BOOTTIME`): for deadlines and spans.
    package static func now() -> Instant { Instant(nanoseconds: clx_boottime_nanoseconds()) }

    /// How long the calling thread has run on a processor (`CLOCK_THREAD_CPUTIME_ID`).
    package static func processor() -> Instant { Instant(nanoseconds: clx_thread_nanoseconds()) }

    /// The date, which may jump: for the record only.
    package static func wall() -> WallTime { WallTime(microseconds: clx_wall_microseconds()) }
}
