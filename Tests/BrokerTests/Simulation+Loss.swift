import Model
import Ruleset

@testable import Broker

extension Simulation {
    /// What comes and goes with requests, and is not put back.
    private static let passing = [
        "answers", "arrivals", "denied", "knocks", "seen", "lately", "others", "floods", "sieges",
    ]

    /// Another tool changes the table: everything that is in force is put back, and nothing else.
    mutating func loseTable() {
        note("lose the table")
        let before = standing
        let counted = kernel.sets.mapValues { $0.mapValues(\.packets) }
        kernel.lose()
        let layout = Layout(firstQueue: 8100, observesOnly: settings.observesOnly)
        kernel.apply(layout.constants + broker.inForce(at: now), at: now)
        let after = standing
        for name in Set(before.keys).union(after.keys) where before[name] != after[name] {
            fail("\(name) is not what it was: \(before[name] ?? []) and \(after[name] ?? [])")
        }
        perform(broker.lost(counted: counted, at: now), of: nil)
    }

    /// The elements of every set that lasts.
    private var standing: [String: Set<[UInt8]>] {
        var standing: [String: Set<[UInt8]>] = [:]
        for name in kernel.sets.keys where !Self.passing.contains(where: name.hasPrefix) {
            standing[name] = Set(kernel.keys(name, at: now))
        }
        for (name, elements) in kernel.intervals {
            standing[name] = Set(elements.map { $0.key + ($0.keyEnd ?? []) })
        }
        return standing.filter { !$0.value.isEmpty }
    }
}
