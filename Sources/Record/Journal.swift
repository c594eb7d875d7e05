import Model
import System

/// The host's journal, as a second place for what is in the record.
///
/// It is told after the record has it, and never waited for: what the journal does not take is counted, and the count is
/// told when it takes something again. Belongs to the writer's thread.
final class Journal {
    /// Where journald listens.
    static let path = "/run/systemd/journal/socket"

    private let socket: ServiceSocket
    private let path: String
    /// How many events it did not take since the last one that it did.
    private(set) var missed: UInt64 = 0

    /// A journal at a path; nil when no socket can be had.
    init?(path: String = Journal.path) {
        self.path = path
        do throws(Errno) {
            socket = try ServiceSocket()
        } catch {
            return nil
        }
    }

    /// Tells of an event that the record has.
    func send(_ event: Event) {
        if missed > 0 {
            let gap = JournalEntry(
                warning: "\(missed) events up to \(event.sequence - 1) are missing here; 'egressd ctl log' has them",
            )
            guard deliver(gap) else {
                missed += 1
                return
            }
            missed = 0
        }
        if !deliver(JournalEntry(event)) { missed += 1 }
    }

    /// False when it does not keep up.
    ///
    /// A host without a journal misses nothing, and an event that is too large for one is not tried again.
    private func deliver(_ entry: JournalEntry) -> Bool {
        do throws(Errno) {
            try socket.send(entry.bytes, to: path)
            return true
        } catch {
            return error == .notFound || error == .accessDenied
        }
    }
}
