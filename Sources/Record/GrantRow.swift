package import Model

/// What an operator approved, for how long, and how much of that is left.
package struct GrantRow: Hashable, Sendable {
    /// What became of a grant.
    package enum State: String, Sendable, CaseIterable {
        case active
        case revoked
        case expired
    }

    /// What was approved.
    package enum Target: Hashable, Sendable {
        /// The addresses of a prefix; the port is nil for all of the transport.
        case address(AddressPrefix, port: UInt16?, Transport)
        /// A name, ports as they are written in policies (`443,8443/udp`), and what must be spoken there; nil where nobody
        /// said.
        case name(DomainName, ports: String, protocol: String? = nil)
    }

    /// Never used twice; 0 asks `insertGrant` for one.
    package var id: Int64
    package var workload: String
    package var target: Target
    package var granted: WallTime
    /// How long it was given for.
    package var duration: Instant.Span
    /// What was left of it at `saved`, at most `duration`.
    package var remaining: Instant.Span
    /// The wall clock when `remaining` was saved.
    package var saved: WallTime
    /// Why, in the operator's words.
    package var reason: String
    /// Who: a user name or number.
    package var actor: String
    /// The request that it answers.
    package var request: Int64?
    package var state: State

    /// A grant that starts now, with all of its duration left.
    package init(
        id: Int64 = 0,
        workload: String,
        target: Target,
        granted: WallTime,
        duration: Instant.Span,
        reason: String,
        actor: String,
        request: Int64? = nil,
        state: State = .active,
    ) {
        self.id = id
        self.workload = workload
        self.target = target
        self.granted = granted
        self.duration = duration
        self.remaining = duration
        self.saved = granted
        self.reason = reason
        self.actor = actor
        self.request = request
        self.state = state
    }
}
