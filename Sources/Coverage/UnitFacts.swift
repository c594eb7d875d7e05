/// A unit of the daemon's, as the service manager's files have it.
package struct UnitFacts: Hashable, Sendable {
    /// Whether there is such a unit.
    package var exists: Bool
    /// Whether it is masked: never started, whoever wants it.
    package var isMasked: Bool
    /// Whether something that starts with the host wants it.
    package var isEnabled: Bool
    /// Whether the manager starts it anew when it is stuck (WatchdogSec=, drop-ins counted).
    package var hasWatchdog: Bool

    package init(
        exists: Bool = false,
        isMasked: Bool = false,
        isEnabled: Bool = false,
        hasWatchdog: Bool = false,
    ) {
        self.exists = exists
        self.isMasked = isMasked
        self.isEnabled = isEnabled
        self.hasWatchdog = hasWatchdog
    }

    /// Why it does not start with the host; nil when it does.
    var absence: String? {
        if isMasked { return "masked" }
        if !exists { return "not installed" }
        return isEnabled ? nil : "not enabled"
    }

    /// What makes it start with the host, unless it does.
    func mend(_ name: String) -> String? {
        if isMasked { return "systemctl unmask \(name) && systemctl enable \(name)" }
        return absence.map { _ in "systemctl enable \(name)" }
    }
}
