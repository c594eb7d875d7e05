import Resolver
import TestSupport
import Testing

/// Questions, dead upstreams, lost, late and forged datagrams in any order.
///
/// A failure names its seed; `EGRESSD_SEED` plays that one alone.
struct SimulationTests {
    @Test(arguments: Simulation.Weather.allCases)
    func invariantsHold(_ weather: Simulation.Weather) {
        let seeds = SplitMix.seeds(40)
        var (answered, failed, cached, forged) = (0, 0, 0, 0)
        var (mismatches, wrongCase, streams): (UInt64, UInt64, UInt64) = (0, 0, 0)
        for seed in seeds {
            var simulation = Simulation(seed: seed, weather: weather)
            simulation.run(steps: 400)
            answered += simulation.answered
            failed += simulation.failed
            cached += simulation.cached
            forged += simulation.forged
            mismatches += simulation.resolver.counters.mismatches
            wrongCase += simulation.resolver.counters.wrongCase
            streams += simulation.resolver.counters.streams
            #expect(simulation.failures == [], "EGRESSD_SEED=\(seed), \(weather)")
            if !simulation.failures.isEmpty { return }
        }
        print(
            "simulation, \(weather): \(seeds.count) seeds from \(seeds[0]), \(answered) answers, \(failed) failures,",
            "\(cached) cached, \(forged) forged, \(mismatches) mismatches, \(wrongCase) in wrong case, \(streams) streams",
        )
        // A simulation in which nothing happens shows nothing.
        guard seeds.count > 1 else { return }
        #expect(answered > 1000 && answered - failed > 500 && cached > 0 && streams > 20)
        #expect(weather == .calm || forged > 100 && mismatches > 100 && wrongCase > 20 && failed > 100)
    }
}
