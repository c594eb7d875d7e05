package import Model

/// An expectation that its policy does not meet.
package struct ExpectationFailure: Hashable, Sendable, CustomStringConvertible {
    package let workload: String
    package let file: String
    package let expectation: Expectation
    /// What came out instead.
    package let verdict: Verdict
    package let decision: Decision

    /// One line: `policies/a.yaml: expected allow for files.example.org:443, but it is deny (name-not-allowed)`.
    package var description: String {
        let rule = decision.rule.map { ", rule '\($0)'" } ?? ""
        let reason = "\(verdict.rawValue) (\(decision.reason.rawValue)\(rule))"
        return "\(file): expected \(expectation.verdict.rawValue) for \(expectation.to), but it is \(reason)"
    }
}
