import Glibc

/// A mutex with two conditions: `work` wakes the writer, `done` wakes who waits for it.
///
/// The pthread objects live at fixed addresses, which a Swift stored property does not promise.
@safe
final class ConditionLock: @unchecked Sendable {
    /// Which of the two conditions is meant.
    enum Condition { case work, done }

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let work = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let done = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init() {
        unsafe pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        unsafe pthread_condattr_init(&attributes)
        // The wall clock, which is the default, may be set while a thread waits for a deadline.
        unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        unsafe pthread_cond_init(work, &attributes)
        unsafe pthread_cond_init(done, &attributes)
        unsafe pthread_condattr_destroy(&attributes)
    }

    deinit {
        unsafe pthread_cond_destroy(work)
        unsafe pthread_cond_destroy(done)
        unsafe pthread_mutex_destroy(mutex)
        unsafe work.deallocate()
        unsafe done.deallocate()
        unsafe mutex.deallocate()
    }

    func lock() { unsafe pthread_mutex_lock(mutex) }
    func unlock() { unsafe pthread_mutex_unlock(mutex) }

    /// Lets go of the lock until the condition is signalled, or the monotonic clock reaches the deadline; may wake early.
    func wait(for condition: Condition, until deadline: Int64? = nil) {
        let condition = unsafe condition == .work ? work : done
        guard let deadline else {
            unsafe pthread_cond_wait(condition, mutex)
            return
        }
        var time = timespec(tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
        unsafe pthread_cond_timedwait(condition, mutex, &time)
    }

    func signal(_ condition: Condition) {
        unsafe pthread_cond_broadcast(condition == .work ? work : done)
    }

    /// The monotonic clock in nanoseconds, on which deadlines are given.
    static func now() -> Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
