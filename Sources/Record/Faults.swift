import CSQLite
import Synchronization

/// Makes chosen calls into SQLite fail, so that tests see what every failure leaves behind.
final class Faults: Sendable {
    /// What a chosen call does.
    struct Fault: Sendable {
        var code: Int32 = SQLITE_IOERR
        /// How many calls fail from the first on.
        var times = 1
        /// Whether the call does its work and then reports failure, as a commit may whose answer got lost.
        var completes = false
    }

    private struct State {
        var calls = 0
        var first = Int.max
        var fault = Fault()
    }

    private let state = Mutex(State())

    /// How many calls were made since the last `arm`.
    var calls: Int { state.withLock { $0.calls } }

    /// Lets the call number `first`, counted from 1, and those after it fail as told.
    func arm(first: Int, _ fault: Fault = Fault()) {
        state.withLock { $0 = State(calls: 0, first: first, fault: fault) }
    }

    /// Lets every call succeed again, and counts from zero.
    func disarm() { state.withLock { $0 = State() } }

    /// Called before every call: the fault to act out.
    func next() -> Fault? {
        state.withLock { state in
            state.calls += 1
            let isChosen = state.calls >= state.first && state.calls - state.first < state.fault.times
            return isChosen ? state.fault : nil
        }
    }
}
