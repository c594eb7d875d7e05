import TestSupport
import Testing

/// Requests, holds, expiries, reloads, revocations, lost and repeated packets in any order.
///
/// A failure names its seed; `EGRESSD_SEED` plays that one alone. `SWIFT_DETERMINISTIC_HASHING=1` in both runs makes them
/// the same to the last packet: what the broker keeps in dictionaries comes in any order.
struct SimulationTests {
    @Test(arguments: Simulation.Weather.allCases)
    func invariantsHold(_ weather: Simulation.Weather) {
        let seeds = SplitMix.seeds(60)
        var accepted = 0
        var refused: UInt64 = 0
        var together: UInt64 = 0
        for seed in seeds {
            var simulation = Simulation(seed: seed, weather: weather)
            simulation.run(steps: 400)
            accepted += simulation.accepted
            refused += simulation.refused
            together += simulation.together
            #expect(simulation.failures == [], "EGRESSD_SEED=\(seed), \(weather)")
            if !simulation.failures.isEmpty { return }
        }
        print(
            "simulation, \(weather): \(seeds.count) seeds from \(seeds[0]), \(accepted) let through, \(refused) refused, \(together) of them together"
        )
        // A simulation in which nothing happens shows nothing.
        #expect(seeds.count == 1 || accepted > 1000 && refused > 1000 && together > 100)
    }
}
