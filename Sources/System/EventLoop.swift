import CLinux
package import Model

/// One epoll, one timerfd, one thread.
///
/// Everything but `Wakeup` belongs to the thread that calls `run`. Handlers may add, change and remove anything while
/// they run, themselves too: what a handler removed is not told of what happened to it in the same round.
/// Level-triggered. A handler that keeps a descriptor open must read it or change its interest, or the loop spins.
///
/// In each round the descriptors that are ready come first, then the timers that are due, then what was deferred.
package final class EventLoop {
    private struct Slot {
        var generation: UInt32 = 0
        var descriptor: Int32 = -1
        var handler: ((Readiness) -> Void)?
    }

    private let epoll: FileDescriptor
    private let timer: FileDescriptor
    private var slots: [Slot] = []
    private var free: [UInt32] = []
    private var timers = TimerHeap()
    private var armed: Instant?
    private var deferred: [() -> Void] = []
    private var stopped = false
    /// How long to look for the next event before sleeping, when the last ones came one on the heels of the other.
    ///
    /// Being woken takes longer than many an answer; an idle loop sleeps at once all the same.
    package var linger = Instant.Span(nanoseconds: 0)
    /// When the last events were dealt with, and whether they had followed those before at once.
    private var lastEvent = Instant(nanoseconds: 0)
    package private(set) var isBusy = false
    private var signals: [(descriptor: Int32, registration: Registration, numbers: [Int32])] = []

    private static let timerData = UInt64.max

    /// A loop that watches nothing yet.
    package init() throws(Errno) {
        epoll = try FileDescriptor(checking: clx_epoll_create())
        timer = try FileDescriptor(checking: clx_timer_create())
        try Errno.check(clx_epoll_add(epoll.rawValue, timer.rawValue, Interest.read.rawValue, Self.timerData))
    }

    deinit {
        for signal in signals {
            _ = clx_close(signal.descriptor)
            _ = unsafe clx_signals_unblock(signal.numbers, signal.numbers.count)
        }
    }

    // ---- Descriptors

    /// Watches a descriptor, which the caller keeps owning: it must be removed before it is closed.
    @discardableResult
    package func add(
        _ descriptor: Int32,
        _ interest: Interest,
        _ handler: @escaping (Readiness) -> Void,
    ) throws(Errno) -> Registration {
        let slot = free.popLast() ?? UInt32(slots.count)
        if Int(slot) == slots.count { slots.append(Slot()) }
        let registration = Registration(slot: slot, generation: slots[Int(slot)].generation)
        let result = clx_epoll_add(epoll.rawValue, descriptor, interest.rawValue, registration.data)
        guard result >= 0 else {
            free.append(slot)
            throw Errno(-result)
        }
        slots[Int(slot)].descriptor = descriptor
        slots[Int(slot)].handler = handler
        return registration
    }

    /// Waits for something else from now on; an empty interest still tells of a hang-up.
    ///
    /// EBADF when it was removed.
    package func change(_ registration: Registration, to interest: Interest) throws(Errno) {
        guard isCurrent(registration) else { throw Errno(EBADF) }
        let descriptor = slots[Int(registration.slot)].descriptor
        try Errno.check(clx_epoll_modify(epoll.rawValue, descriptor, interest.rawValue, registration.data))
    }

    /// Waits for nothing but a hang-up for this long, and then for something to read again, unless it was removed meanwhile.
    ///
    /// For what is ready and cannot be served just then: the loop would spin.
    package func pause(_ registration: Registration, for span: Instant.Span) throws(Errno) {
        try change(registration, to: [])
        schedule(after: span) { [unowned self] in resume(registration, orAfter: span) }
    }

    private func resume(_ registration: Registration, orAfter span: Instant.Span) {
        guard isCurrent(registration) else { return }
        do throws(Errno) {
            try change(registration, to: .read)
        } catch {
            schedule(after: span) { [unowned self] in resume(registration, orAfter: span) }
        }
    }

    /// Watches no longer; nothing when it was removed before.
    package func remove(_ registration: Registration) {
        guard isCurrent(registration) else { return }
        let slot = Int(registration.slot)
        _ = clx_epoll_remove(epoll.rawValue, slots[slot].descriptor)
        slots[slot].generation &+= 1
        // The slot's last generation would make the data of the timer: it is given up instead.
        if slots[slot].generation < .max { free.append(registration.slot) }
        slots[slot].descriptor = -1
        slots[slot].handler = nil
    }

    private func isCurrent(_ registration: Registration) -> Bool {
        let slot = Int(registration.slot)
        return slots.indices.contains(slot) && slots[slot].generation == registration.generation
            && slots[slot].handler != nil
    }

    /// How many descriptors are watched, those of signals too.
    package var registrationCount: Int { slots.count { $0.handler != nil } }

    // ---- Time

    /// Calls the handler once, at this time or as soon after as the loop gets to it.
    ///
    /// Equal times go in order of scheduling.
    @discardableResult
    package func schedule(at deadline: Instant, _ handler: @escaping () -> Void) -> TimerToken {
        timers.insert(at: deadline, handler)
    }

    /// Calls the handler once, this much later.
    @discardableResult
    package func schedule(after span: Instant.Span, _ handler: @escaping () -> Void) -> TimerToken {
        schedule(at: Clock.now() + span, handler)
    }

    /// How many timers are set.
    package var timerCount: Int { timers.count }

    /// Forgets a timer; nothing when it has fired.
    package func cancel(_ token: TimerToken) { timers.remove(token) }

    /// Calls the handler at the end of this round, or of the next one when called from a deferred handler.
    package func `defer`(_ handler: @escaping () -> Void) { deferred.append(handler) }

    // ---- Signals

    /// Takes these signals as events from now on, blocked for every thread that is started later.
    ///
    /// Call it before any thread is started, from a synchronous `main`: a thread with an open mask would take the
    /// signal and end the process.
    package func onSignals(_ numbers: [Int32], _ handler: @escaping (Int32) -> Void) throws(Errno) {
        let descriptor = try Errno.check(unsafe clx_signals_create(numbers, numbers.count))
        do {
            let registration = try add(descriptor, .read) { _ in
                while true {
                    let number = clx_signals_next(descriptor)
                    guard number > 0 else { return }
                    handler(number)
                }
            }
            signals.append((descriptor, registration, numbers))
        } catch {
            _ = clx_close(descriptor)
            throw error
        }
    }

    // ---- Running

    /// Runs until `stop`; may be called again afterwards.
    package func run() throws(Errno) {
        stopped = false
        while !stopped { try runOnce() }
    }

    /// Ends `run` after the round that is under way.
    package func stop() { stopped = true }

    /// One round; waits for something to happen unless `wait` is false.
    package func runOnce(wait: Bool = true) throws(Errno) {
        try arm()
        var ready = [clx_ready](repeating: clx_ready(), count: Self.batch)
        let count = try poll(&ready, wait: wait && deferred.isEmpty)
        for index in 0..<Int(count) { dispatch(ready[index]) }
        if count > 0 { lastEvent = Clock.now() }
        if let earliest = timers.earliest {
            // Only what is due now: a timer that schedules itself for now must not keep the loop from its descriptors.
            let now = Clock.now()
            if earliest <= now {
                var budget = timers.count
                while budget > 0, let handler = timers.next(at: now) {
                    handler()
                    budget -= 1
                }
            }
        }
        let round = deferred
        guard !round.isEmpty else { return }
        deferred.removeAll()
        for handler in round { handler() }
    }

    private func poll(_ ready: inout [clx_ready], wait: Bool) throws(Errno) -> Int32 {
        var count: Int32 = 0
        if !wait || isBusy {
            repeat {
                count = try Errno.check(unsafe clx_epoll_wait(epoll.rawValue, &ready, Int32(Self.batch), 0))
            } while wait && count == 0 && Clock.now() - lastEvent < linger
        }
        if wait, count == 0 {
            count = try Errno.check(unsafe clx_epoll_wait(epoll.rawValue, &ready, Int32(Self.batch), -1))
        }
        if count > 0 { isBusy = Clock.now() - lastEvent < linger }
        return count
    }

    private static let batch = 64

    private func dispatch(_ event: clx_ready) {
        guard event.data != Self.timerData else {
            _ = clx_counter_drain(timer.rawValue)
            armed = nil
            return
        }
        let registration = Registration(
            slot: UInt32(truncatingIfNeeded: event.data),
            generation: UInt32(truncatingIfNeeded: event.data >> 32),
        )
        // An earlier handler of this round may have removed it, and given the slot away.
        guard isCurrent(registration), let handler = slots[Int(registration.slot)].handler else { return }
        handler(Readiness(rawValue: event.events))
    }

    /// Sets the timer to the earliest deadline.
    ///
    /// One that is armed too early only costs a round, so it is left.
    private func arm() throws(Errno) {
        guard let earliest = timers.earliest else { return }
        if let armed, armed <= earliest { return }
        // 0 would disarm it; a deadline before 1 is as due as one at 1.
        try Errno.check(clx_timer_set(timer.rawValue, Swift.max(1, earliest.nanoseconds)))
        armed = earliest
    }
}
