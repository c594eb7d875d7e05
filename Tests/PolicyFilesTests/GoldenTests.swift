import Glibc
import Policy
import PolicyFiles
import TestSupport
import Testing

/// Every folder `Fixtures/invalid-*`: what is said of the policy, the folder or the configuration in it.
///
/// `EGRESSD_REWRITE_GOLDEN=1` writes the expected texts anew.
struct GoldenTests {
    static let invalid = Files.names(in: Fixtures.folder).filter { $0.hasPrefix("invalid-") }
    static let valid = Files.names(in: Fixtures.folder).filter { $0.hasPrefix("valid-") }

    @Test(arguments: invalid)
    func errorText(_ name: String) throws {
        let folder = "\(Fixtures.folder)/\(name)"
        let text = Self.errors(folder).replacing("\(folder)/", with: "") + "\n"
        let golden = folder + "/expected-error.txt"
        if unsafe getenv("EGRESSD_REWRITE_GOLDEN") != nil { Files.write(text, to: golden) }
        let expected = try #require(Files.read(golden), "no expected-error.txt; run with EGRESSD_REWRITE_GOLDEN=1")
        #expect(text == String(decoding: expected, as: UTF8.self))
    }

    @Test func thereAreEnough() {
        #expect(Self.invalid.count >= 35)
        #expect(Self.valid.count >= 3)
    }

    @Test(arguments: valid)
    func loads(_ name: String) throws {
        let set = try Fixtures.loader().loadPolicies("\(Fixtures.folder)/\(name)")
        #expect(set.workloads.count == 1)
        #expect(set.failures.map(\.description) == [])
    }

    private static func errors(_ folder: String) -> String {
        do {
            if Files.read(folder + "/config.yaml") != nil {
                _ = try Fixtures.loader().loadConfiguration(folder + "/config.yaml")
            } else {
                _ = try Fixtures.loader().loadPolicies(folder)
            }
            return "no error"
        } catch {
            return error.description
        }
    }
}
