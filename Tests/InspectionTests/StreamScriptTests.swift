import Glibc
import TestSupport
import Testing

/// The reassembler against the model: scripts of any bytes, and those that the fuzzer found worth keeping.
@Suite("Stream reassembler against its model")
struct StreamScriptTests {
    /// Offsets and lengths from the edges as often as from anywhere.
    private func script(using random: inout SplitMix) -> [UInt8] {
        var script = (0..<4).map { _ in random.chance(50) ? 0xff : UInt8.random(in: 0...255, using: &random) }
        let scale: UInt8 = [0, 0, 0, 4, 4, 8, 12].randomElement(using: &random) ?? 0
        for _ in 0..<Int.random(in: 1...48, using: &random) {
            let near = random.chance(60)
            let control = (near ? 1 : UInt8.random(in: 0...3, using: &random)) | scale | (random.chance(5) ? 16 : 0)
            let offset = near ? Int.random(in: -20...20, using: &random) : Int.random(in: 0...17_000, using: &random)
            let length = UInt8.random(in: 0...(near ? 40 : 255), using: &random)
            script += [control, UInt8(truncatingIfNeeded: offset >> 8), UInt8(truncatingIfNeeded: offset), length]
        }
        return script
    }

    @Test("random segments come to what the model says")
    func agreesWithTheModel() {
        let seeds = SplitMix.seeds(300)
        var counts = [0, 0, 0, 0]
        for seed in seeds {
            var random = SplitMix(state: seed)
            let script = script(using: &random)
            let played = StreamScript.play(script)
            #expect(played.flaw == nil, "EGRESSD_SEED=\(seed)")
            if played.flaw != nil { return }
            for (index, count) in played.counts.enumerated() { counts[index] += count }
        }
        print("reassembler: \(seeds.count) seeds from \(seeds[0]): new, known, conflict, refused \(counts)")
        #expect(seeds.count == 1 || counts.allSatisfy { $0 > 100 })
    }

    @Test("the fuzzing corpus comes to what the model says")
    func replaysCorpus() {
        let files = Corpus.files(of: "reassembler")
        var counts = [0, 0, 0, 0]
        for (name, bytes) in files {
            let played = StreamScript.play(bytes)
            #expect(played.flaw == nil, "reassembler/\(name)")
            for (index, count) in played.counts.enumerated() { counts[index] += count }
        }
        #expect(counts.allSatisfy { $0 > 0 })
    }
}
