package import Model

/// What `ctl requests` shows as one line: every attempt of one workload at one address, every question for one name, or all
/// that is beyond what has lines of its own.
package struct RequestRow: Hashable, Sendable {
    /// The number that `ctl approve` takes; never used twice.
    package var id: Int64
    package var workload: String
    /// `request` or `inbound`.
    package var kind: Event.Kind
    package var subject: Subject
    /// How many attempts there were.
    package var count: UInt64
    package var first: WallTime
    package var last: WallTime
    package var verdict: Verdict
    package var reason: Reason
    package var executable: String?
    package var command: [String]
    package var finding: Finding?

    package init(
        id: Int64,
        workload: String,
        kind: Event.Kind = .request,
        subject: Subject,
        count: UInt64,
        first: WallTime,
        last: WallTime,
        verdict: Verdict,
        reason: Reason,
        executable: String? = nil,
        command: [String] = [],
        finding: Finding? = nil,
    ) {
        self.id = id
        self.workload = workload
        self.kind = kind
        self.subject = subject
        self.count = count
        self.first = first
        self.last = last
        self.verdict = verdict
        self.reason = reason
        self.executable = executable
        self.command = command
        self.finding = finding
    }
}
