internal import Model
internal import Policy
internal import Ruleset

/// A grant's element as the kernel has it.
struct GrantElement {
    let set: String
    let element: SetElement
    /// When the kernel's timeout takes it away, or up to a millisecond later.
    let until: Instant

    /// The element with the time that it has left.
    func lasting(at now: Instant) -> SetElement {
        SetElement(key: element.key, timeout: UInt64(Self.milliseconds(until - now)))
    }

    /// The kernel's unit, never less.
    static func milliseconds(_ span: Instant.Span) -> Int64 { (span.nanoseconds + 999_999) / 1_000_000 }
}

extension Broker {
    /// How much longer than its grant an element lasts.
    ///
    /// The broker takes it away itself, before it cuts what it carried; the kernel's timeout is for when no daemon
    /// runs, and must not come first: what is to be taken away has to be there.
    private static let grantSlack = Instant.Span.seconds(2)

    /// The element that a grant should have; nil when a deny covers it, its workload is gone or its time is up.
    func element(of grant: Grant, at now: Instant) -> GrantElement? {
        let end = grant.expiry + Self.grantSlack
        guard let destination = grant.subject.destination, let assignment = assignments[grant.workload],
            let workload = policies[grant.workload], isGrantable(workload, destination), now < end
        else { return nil }
        let milliseconds = GrantElement.milliseconds(end - now)
        return GrantElement(
            set: destination.address.isV4 ? "grants4" : "grants6",
            element: Elements.request(assignment.identity, destination, timeout: UInt64(milliseconds)),
            until: now + .milliseconds(milliseconds),
        )
    }

    /// Puts a grant in force.
    mutating func put(_ grant: Grant, at now: Instant) -> [ElementChange] {
        // What a name was answered with is for its pins to hold.
        if grant.subject.name != nil { return renewPins(of: grant.workload, at: now).changes }
        guard let wanted = element(of: grant, at: now) else { return [] }
        grantElements[grant.id] = wanted
        return [ElementChange(set: wanted.set, add: [wanted.element])]
    }

    /// Takes a grant out of force, unless the kernel has done so.
    mutating func take(_ grant: Grant, at now: Instant) -> [ElementChange] {
        guard let known = grantElements.removeValue(forKey: grant.id), now < known.until else { return [] }
        return [ElementChange(set: known.set, remove: [known.element])]
    }

    /// Puts the grants of these workloads in force as their policies say now, and takes the others out of it.
    mutating func renewGrants(of workloads: Set<String>, at now: Instant) -> [ElementChange] {
        var changes: [ElementChange] = []
        for grant in grants.values where workloads.contains(grant.workload) {
            let (known, wanted) = (grantElements[grant.id], element(of: grant, at: now))
            if let known, let wanted, known.element.key == wanted.element.key, now < known.until { continue }
            changes += take(grant, at: now) + put(grant, at: now)
        }
        return changes
    }
}
