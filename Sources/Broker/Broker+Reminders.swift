internal import Model
internal import Policy
internal import Ruleset
internal import Wire

/// Names are asked for again before their pins end, as long as their workload lives.
extension Broker {
    /// A name is asked for again no sooner than this.
    private static let shortestReminder = Instant.Span.seconds(10)
    /// And again after this when nothing came of it.
    private static let retryReminder = Instant.Span.seconds(60)

    /// Has a name that a rule gives without a wildcard asked for again when its answer ends.
    mutating func remindOf(
        _ name: DomainName,
        _ question: DNSQuestion,
        of workload: Workload,
        timeToLive: UInt32,
        at now: Instant,
    ) {
        guard question.type == .a || question.type == .aaaa,
            workload.allow.contains(where: { $0.names(exactly: name) })
        else { return }
        remind(
            Reminder(workload: workload.name, question: question),
            at: now + max(.seconds(Int64(timeToLive)), Self.shortestReminder)
        )
    }

    mutating func remindOf(_ pin: Pin, of workload: Workload, at now: Instant) {
        let question = DNSQuestion(name: DNSName(pin.name), type: pin.address.isV4 ? .a : .aaaa)
        remindOf(pin.name, question, of: workload, timeToLive: 0, at: now)
    }

    private mutating func remind(_ reminder: Reminder, at due: Instant) {
        reminders[reminder] = due
        remindersDue.add(reminder, at: due)
    }

    /// The names that are to be asked for again now.
    mutating func takeReminders(at now: Instant) -> [BrokerAction] {
        var actions: [BrokerAction] = []
        for reminder in remindersDue.take(until: now) {
            guard let due = reminders[reminder], due <= now else { continue }
            reminders[reminder] = nil
            guard let assignment = assignments[reminder.workload], isSeen(assignment.identity),
                mayAsk(assignment.identity, reminder.question, at: now).verdict == .allow
            else { continue }
            remind(reminder, at: now + Self.retryReminder)
            actions.append(.refresh(assignment.identity, reminder.question))
        }
        return actions
    }
}

/// A question that is asked again ahead of time.
struct Reminder: Hashable {
    let workload: String
    let question: DNSQuestion
}
