internal import Model
internal import Policy
internal import Ruleset

/// How many different names a workload asked for below its wildcards: each one is a message to whoever answers for the
/// wildcard's domain, allowed or not.
struct NameBudget {
    /// For how long a name that was asked for counts.
    static let span = Instant.Span.seconds(3600)

    private var names: Set<DomainName> = []
    private var ends: Instant?

    /// Takes a name; whether there was room for it, or it was asked for already.
    mutating func take(_ name: DomainName, of limit: Int, at now: Instant) -> Bool {
        if ends.map({ $0 <= now }) ?? true {
            names.removeAll()
            ends = now + Self.span
        }
        guard names.count >= limit else {
            names.insert(name)
            return true
        }
        return names.contains(name)
    }
}

extension Broker {
    /// Whether a name that a wildcard covers may still be asked for; one that a rule gives without is never counted.
    mutating func isWithinBudget(_ identity: Identity, _ name: DomainName, at now: Instant) -> Bool {
        guard let workload = workload(identity), !workload.allow.contains(where: { $0.names(exactly: name) }) else {
            return true
        }
        return nameBudgets[identity, default: NameBudget()].take(name, of: settings.nameBudget, at: now)
    }
}
