internal import Model
internal import Ruleset
internal import System

extension Daemon {
    /// Tells of packets that were dropped because a queue was full: nobody was asked about them, and the record must say so.
    ///
    /// At most once a second.
    func tellOfDrops(at now: Instant) {
        guard now - lastDropsLook >= .seconds(1), let current = try? QueueDrops.current() else { return }
        lastDropsLook = now
        defer { drops = current }
        guard let drops, case let count = current.more(than: drops, in: layout.queues), count > 0 else { return }
        overloads += count
        var event = Event(time: Clock.wall(), kind: .alarm)
        event.reason = .overload
        event.count = count
        event.message = "\(count) packets were dropped without being looked at: a queue was full"
        append(event)
    }
}
