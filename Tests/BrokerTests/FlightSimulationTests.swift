import TestSupport
import Testing

/// First flights in any order with everything else.
///
/// A failure names its seed; `EGRESSD_SEED` plays that one alone, with `SWIFT_DETERMINISTIC_HASHING=1` to the last packet.
struct FlightSimulationTests {
    @Test func invariantsHold() throws {
        let seeds = SplitMix.seeds(80)
        var (cleared, denied, told) = (0, 0, 0 as UInt64)
        for seed in seeds {
            var simulation = try FlightSimulation(seed: seed)
            try simulation.run(steps: 500)
            cleared += simulation.cleared
            denied += simulation.denied
            told += simulation.told
            #expect(simulation.failures == [], "EGRESSD_SEED=\(seed)")
            if !simulation.failures.isEmpty { return }
        }
        let counts = "\(cleared) let through, \(denied) denied, \(told) told of"
        print("first flights: \(seeds.count) seeds from \(seeds[0]), \(counts)")
        // A simulation in which nothing happens shows nothing.
        #expect(seeds.count == 1 || cleared > 200 && denied > 200)
    }
}
