import CLinux
import Synchronization

/// The standard output of a command: what is printed waits in memory until there is enough of it.
///
/// In the place of stdio's, which forgets why it could not write.
package enum StandardOutput {
    private struct State {
        var bytes: [UInt8] = []
        var failure: Errno?
    }

    private static let state = Mutex(State())
    private static let capacity = 1 << 16
    private static let isTerminal = isatty(STDOUT_FILENO) == 1

    /// Adds text; on a terminal it is seen at once.
    ///
    /// Why it cannot be written is for `flush` to say.
    package static func write(_ text: String) {
        state.withLock { state in
            guard state.failure == nil else { return }
            state.bytes += Array(text.utf8)
            if isTerminal || state.bytes.count >= capacity { writeOut(&state) }
        }
    }

    /// Writes all of it; throws why this or an earlier write failed, once.
    ///
    /// What could not be written is gone.
    package static func flush() throws(Errno) {
        let failure = state.withLock { state in
            writeOut(&state)
            defer { state.failure = nil }
            return state.failure
        }
        if let failure { throw failure }
    }

    private static func writeOut(_ state: inout State) {
        var sent = 0
        while state.failure == nil, sent < state.bytes.count {
            let result = unsafe state.bytes.withUnsafeBytes { buffer in
                guard let start = buffer.baseAddress else { return 0 }
                return unsafe clx_write(STDOUT_FILENO, start + sent, buffer.count - sent)
            }
            do throws(Errno) { sent += try Errno.check(result) } catch { state.failure = error }
        }
        state.bytes.removeAll(keepingCapacity: true)
    }
}
