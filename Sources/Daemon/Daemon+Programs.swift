internal import Policy
internal import System

extension Daemon {
    /// Says which programs of rules cannot be looked at: who runs them is never certain, so their rules allow nothing.
    static func warnOfHiddenPrograms(_ policies: PolicySet) {
        for workload in policies.workloads {
            for path in Set(workload.allow.compactMap(\.executable)).sorted() where ProcessInspector.isHidden(path) {
                Log.warning(
                    "workload \(workload.name): \(path) lies in a folder that the daemon may not enter, and its rules "
                        + "allow nothing: 'chmod o+x' the folder, or install the program elsewhere",
                )
            }
        }
    }
}
