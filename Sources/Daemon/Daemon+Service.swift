internal import Broker
internal import Model
internal import Policy
internal import PolicyFiles
internal import Record
internal import System

extension Daemon {
    /// Tells the service manager that the policy is in force, and which.
    func tellReady() {
        guard !service.tell(.ready, .status(serviceStatus)), service.isThere else { return }
        // It would wait for the word, and end the daemon when it has waited long enough.
        _ = loop.schedule(after: .seconds(1)) { [unowned self] in tellReady() }
    }

    /// Tells the service manager that the loop turns, three times in the span it waits.
    func scheduleWatchdog() {
        guard let span = service.watchdog else { return }
        _ = loop.schedule(after: Instant.Span(nanoseconds: span.nanoseconds / 3)) { [unowned self] in
            service.tell(.alive, .status(serviceStatus))
            scheduleWatchdog()
        }
    }

    /// One line for `systemctl status`.
    private var serviceStatus: String {
        let workloads = broker.policies.workloads.count
        let grants = broker.grants.values.count { $0.state == .active }
        var parts = [
            "mode \(configuration.mode)", "\(workloads) workload\(workloads == 1 ? "" : "s")",
            "\(grants) grant\(grants == 1 ? "" : "s")", "\(store.health.written) events written",
        ]
        let health = store.health
        if health.lost > 0 { parts.append("\(health.lost) EVENTS LOST") }
        if health.replacements > 0 { parts.append("A DAMAGED RECORD WAS SET ASIDE") }
        if let error = health.lastError { parts.append("RECORD NOT WRITTEN: \(error)") }
        parts += warnings.values.sorted()
        return parts.joined(separator: ", ")
    }
}
