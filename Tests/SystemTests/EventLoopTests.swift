import Glibc
import Model
import System
import Testing

@Suite struct EventLoopTests {
    @Test func timersFireInOrderOfTimeThenOfScheduling() throws {
        let loop = try EventLoop()
        let now = Clock.now()
        var fired: [Int] = []
        for (index, offset) in [3, 1, 2, 1, 3].enumerated() {
            loop.schedule(at: now + .milliseconds(Int64(offset))) { fired.append(index) }
        }
        loop.schedule(at: now + .milliseconds(4)) { loop.stop() }
        try loop.run()
        #expect(fired == [1, 3, 2, 0, 4])
    }

    @Test func aCancelledTimerNeverFires() throws {
        let loop = try EventLoop()
        let now = Clock.now()
        var fired: [Int] = []
        let tokens = (0..<100).map { index in loop.schedule(at: now + .milliseconds(1)) { fired.append(index) } }
        for token in tokens where token != tokens[7] && token != tokens[63] { loop.cancel(token) }
        // A token that was used up must not cancel the timer that has its slot now.
        loop.cancel(tokens[0])
        loop.schedule(at: now + .milliseconds(2)) {
            loop.schedule(at: now) { loop.stop() }
            loop.cancel(tokens[7])
        }
        try loop.run()
        #expect(fired == [7, 63])
    }

    @Test func aTimerCancelledByAnotherOfTheSameRoundDoesNotFire() throws {
        let loop = try EventLoop()
        let now = Clock.now()
        var fired = false
        var second: TimerToken?
        loop.schedule(at: now) { if let second { loop.cancel(second) } }
        second = loop.schedule(at: now) { fired = true }
        loop.schedule(at: now) { loop.stop() }
        try loop.run()
        #expect(!fired)
    }

    @Test func aTimerForNowDoesNotKeepDescriptorsWaiting() throws {
        let loop = try EventLoop()
        let wakeup = try Wakeup()
        try loop.add(wakeup.rawValue, .read) { [unowned loop] _ in loop.stop() }
        var rounds = 0
        func again(_ loop: EventLoop) {
            rounds += 1
            if rounds == 3 { wakeup.signal() }
            loop.schedule(at: Instant(nanoseconds: 0)) { [unowned loop] in again(loop) }
        }
        again(loop)
        try loop.run()
        #expect(rounds < 10)
    }

    @Test func deferredHandlersRunAfterTheRoundAndTheirOwnInTheNext() throws {
        let loop = try EventLoop()
        var order: [String] = []
        loop.schedule(at: Clock.now()) { order.append("timer") }
        loop.defer {
            order.append("first")
            loop.defer {
                order.append("third")
                loop.stop()
            }
        }
        loop.defer { order.append("second") }
        try loop.run()
        #expect(order.filter { $0 != "timer" } == ["first", "second", "third"])
        #expect(order.firstIndex(of: "timer") != order.count - 1)
    }

    @Test func whatAHandlerRemovesIsNotToldInTheSameRound() throws {
        let loop = try EventLoop()
        let wakeups = try [Wakeup(), Wakeup(), Wakeup()]
        // Optimised code lets go of a value after its last use, and a closed descriptor has no events.
        defer { withExtendedLifetime(wakeups) {} }
        var registrations: [Registration] = []
        var told: [Int] = []
        for (index, wakeup) in wakeups.enumerated() {
            registrations.append(
                try loop.add(wakeup.rawValue, .read) { _ in
                    told.append(index)
                    for registration in registrations { loop.remove(registration) }
                },
            )
        }
        for wakeup in wakeups { wakeup.signal() }
        try loop.runOnce(wait: false)
        try loop.runOnce(wait: false)
        #expect(told.count == 1)
        #expect(loop.registrationCount == 0)
    }

    @Test func aSlotGivenAwayInARoundDoesNotGetTheOldEvent() throws {
        let loop = try EventLoop()
        let first = try Wakeup()
        let second = try Wakeup()
        let quiet = try Wakeup()
        defer { withExtendedLifetime((first, second, quiet)) {} }
        var registrations: [Registration] = []
        var told: [String] = []
        let handler = { (name: String) in
            { (_: Readiness) in
                told.append(name)
                // The other one of the two goes, and its slot goes to a descriptor on which nothing has happened.
                for registration in registrations { loop.remove(registration) }
                _ = try? loop.add(quiet.rawValue, .read) { _ in told.append("quiet") }
            }
        }
        registrations.append(try loop.add(first.rawValue, .read, handler("first")))
        registrations.append(try loop.add(second.rawValue, .read, handler("second")))
        first.signal()
        second.signal()
        try loop.runOnce(wait: false)
        try loop.runOnce(wait: false)
        #expect(told.count == 1)
        #expect(!told.contains("quiet"))
    }

    @Test func aRegistrationThatWasRemovedCannotTouchItsSuccessor() throws {
        let loop = try EventLoop()
        let first = try Wakeup()
        let second = try Wakeup()
        let old = try loop.add(first.rawValue, .read) { _ in }
        loop.remove(old)
        var told = 0
        try loop.add(second.rawValue, .read) { _ in
            second.drain()
            told += 1
        }
        #expect(throws: Errno(9)) { try loop.change(old, to: []) }
        loop.remove(old)
        second.signal()
        try loop.runOnce(wait: false)
        #expect(told == 1)
    }

    @Test func interestDecidesWhatIsTold() throws {
        let loop = try EventLoop()
        let pair = try UnixSocket.pair()
        let left = FileDescriptor(pair[0])
        let right = FileDescriptor(pair[1])
        var told: [Readiness] = []
        let registration = try loop.add(left.rawValue, .read) { told.append($0) }
        try loop.runOnce(wait: false)
        #expect(told.isEmpty)
        try loop.change(registration, to: .write)
        try loop.runOnce(wait: false)
        #expect(told == [.write])
        try loop.change(registration, to: [])
        _ = try UnixSocket.send(on: right.rawValue, [1])
        try loop.runOnce(wait: false)
        #expect(told == [.write])
        try loop.change(registration, to: .read)
        try loop.runOnce(wait: false)
        #expect(told == [.write, .read])
    }

    @Test func aPauseEndsByItselfOrWithTheRegistration() throws {
        let loop = try EventLoop()
        let pair = try UnixSocket.pair()
        let left = FileDescriptor(pair[0])
        let right = FileDescriptor(pair[1])
        var told = 0
        let registration = try loop.add(left.rawValue, .read) { _ in told += 1 }
        _ = try UnixSocket.send(on: right.rawValue, [1])
        try loop.pause(registration, for: .milliseconds(20))
        try loop.runOnce(wait: false)
        #expect(told == 0)
        while told == 0 { try loop.runOnce() }
        #expect(loop.timerCount == 0)
        try loop.pause(registration, for: .milliseconds(20))
        loop.remove(registration)
        // The next one in its place is not touched.
        let next = try loop.add(left.rawValue, .write) { _ in }
        try loop.change(next, to: [])
        for _ in 0..<10 where loop.timerCount > 0 { try loop.runOnce() }
        #expect(loop.timerCount == 0)
        #expect(told == 1)
        try loop.runOnce(wait: false)
        #expect(told == 1)
        #expect(throws: Errno(EBADF)) { try loop.pause(registration, for: .milliseconds(20)) }
        #expect(loop.timerCount == 0)
    }

    @Test func aHangUpIsToldWithoutInterest() throws {
        let loop = try EventLoop()
        let pair = try UnixSocket.pair()
        let left = FileDescriptor(pair[0])
        var told: Readiness = []
        let registration = try loop.add(left.rawValue, []) { told = $0 }
        close(pair[1])
        try loop.runOnce(wait: false)
        #expect(told.contains(.hangUp))
        loop.remove(registration)
    }

    @Test func addingABadDescriptorThrowsAndKeepsNothing() throws {
        let loop = try EventLoop()
        #expect(throws: Errno(9)) { try loop.add(1_000_000, .read) { _ in } }
        #expect(loop.registrationCount == 0)
    }

    @Test func wakeupsFromAThreadCountAsOne() throws {
        let loop = try EventLoop()
        let wakeup = try Wakeup()
        var told = 0
        try loop.add(wakeup.rawValue, .read) { _ in
            wakeup.drain()
            told += 1
        }
        for _ in 0..<5 { wakeup.signal() }
        try loop.runOnce()
        try loop.runOnce(wait: false)
        #expect(told == 1)
    }

    @Test func signalsComeAsEvents() throws {
        let loop = try EventLoop()
        var seen: [Int32] = []
        try loop.onSignals([SIGUSR2, SIGHUP]) { [unowned loop] in
            seen.append($0)
            if seen.count == 2 { loop.stop() }
        }
        #expect(raise(SIGUSR2) == 0)
        #expect(raise(SIGHUP) == 0)
        try loop.run()
        #expect(Set(seen) == [SIGUSR2, SIGHUP])
    }

    @Test func nothingStaysOpen() throws { #expect(try leaksNothing(useEverything)) }

    private func useEverything() throws {
        let loop = try EventLoop()
        let wakeup = try Wakeup()
        try loop.add(wakeup.rawValue, .read) { _ in }
        try loop.onSignals([SIGUSR1]) { _ in }
        loop.schedule(at: Clock.now()) {}
        try loop.runOnce(wait: false)
    }
}
