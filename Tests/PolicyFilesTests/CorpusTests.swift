import Policy
import TestSupport
import Testing

@testable import PolicyFiles

/// Everything the fuzzer found worth keeping, and what once crashed the reader, is read again.
@Suite("Fuzzing corpus of policy files")
struct CorpusTests {
    /// The mistakes of a refused file; nil when it was read.
    private func mistakes(_ body: () throws(PolicyErrors) -> Void) -> [PolicyFileError]? {
        do throws(PolicyErrors) {
            try body()
            return nil
        } catch {
            return error.errors
        }
    }

    @Test("is read without a trap, and refused with a reason in one line")
    func replays() {
        var accepted = 0
        for (name, bytes) in Corpus.files(of: "policy") {
            let refusals = [
                mistakes { () throws(PolicyErrors) in
                    let workload = try PolicyReader.read(bytes, file: name) { $0 == "trainer" ? 1001 : nil }
                    accepted += 1
                    _ = workload.check(workload.expect)
                },
                mistakes { () throws(PolicyErrors) in _ = try ConfigurationReader.read(bytes, file: name) },
            ]
            for errors in refusals.compactMap(\.self) {
                #expect(!errors.isEmpty, "\(name)")
                let hasControl = errors.contains { error in
                    error.description.unicodeScalars.contains { $0.properties.generalCategory == .control }
                }
                #expect(!hasControl, "\(name): \(errors.map(\.description).debugDescription)")
            }
        }
        #expect(accepted > 0, "the corpus has no file that is a policy")
    }
}
