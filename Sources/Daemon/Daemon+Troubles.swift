internal import Model
internal import Netfilter
internal import Ruleset
internal import System

/// What the kernel was asked for and could not do just then.
struct Troubles {
    /// Changes that are not in force, oldest first: they go before any other.
    var changes: [ElementChange] = []
    /// Sets to be emptied before that.
    var cleared: Set<String> = []
    /// Whether another try is due, and how many seconds the next one waits.
    var isWaiting = false
    var wait: Int64 = 1
    /// How often changes did not come into force at once, or not at all.
    var failures: UInt64 = 0
    /// Failures since an alarm was recorded.
    var unsaid: UInt64 = 0

    var hasChanges: Bool { !changes.isEmpty || !cleared.isEmpty }
}

extension Daemon {
    /// Says that the kernel could not do what it was asked for, and has it tried again: in a second, and less and less
    /// often as long as that fails.
    ///
    /// One alarm for each try: a failure may come with every packet.
    func noteTrouble(_ error: NetfilterError) {
        let problem = "\(error); what was not done is tried again"
        warnings["kernel"] = problem
        guard !troubles.isWaiting else {
            troubles.unsaid += 1
            return
        }
        troubles.isWaiting = true
        Log.error(problem)
        record(.alarm, problem)
        _ = loop.schedule(after: .seconds(troubles.wait)) { [unowned self] in makeUp() }
    }

    /// Does what could not be done.
    private func makeUp() {
        troubles.isWaiting = false
        troubles.wait = min(troubles.wait * 2, 60)
        if troubles.unsaid > 0 {
            record(.alarm, "\(troubles.unsaid) more requests to the kernel failed: \(warnings["kernel"] ?? "")")
            troubles.unsaid = 0
        }
        warnings["kernel"] = nil
        flush()
        // What could not be found, marked or ended may be open against the policy.
        judgeOpen(openSockets(), "it could not be ended before: the kernel could not be asked")
        guard !troubles.isWaiting else { return }
        troubles.wait = 1
        Log.info("what the kernel could not do before is done")
    }

    /// Changes elements in one transaction, after emptying the sets that were to be emptied before.
    func change(_ changes: [ElementChange]) throws(NetfilterError) {
        do throws(NetfilterError) {
            try table.replace(Array(troubles.cleared), changes)
        } catch  where error.isPassing {
            // Only the answer may be lost, and what was done may be done again.
            try table.replace(Array(troubles.cleared), changes)
        }
        troubles.cleared = []
    }

    /// As `change`, for changes that the kernel has refused: leaves out the elements that it refuses, and tells them.
    func changeApart(_ changes: [ElementChange]) throws(NetfilterError) -> [RefusedElement] {
        let refused = try table.replaceApart(Array(troubles.cleared), changes)
        troubles.cleared = []
        return refused
    }

    /// Takes every element out of these sets.
    func clear(_ sets: [String]) {
        applyPending()
        // What is to be put in yet is to be taken out again.
        troubles.changes.removeAll { sets.contains($0.set) }
        troubles.cleared.formUnion(sets)
        applyPending()
    }
}
