import Glibc
import Model
import Policy
import TestSupport
import Testing

/// First flights of random policies against what the rules mean, said once more in the plainest way.
struct FlightPropertyTests {
    /// A question, and what its connection says first.
    private struct Case {
        let question: Question
        let spoken: ApplicationProtocol?
        let serverName: DomainName?
    }

    private static let names = ["a.example", "b.example", "c.b.example", "other.test"]
    private static let targets = ["a.example", "*.example", "*.b.example", "any", "192.0.2.1", "192.0.2.0/24"]
    private static let specs = ["443", "443/tcp", "443/udp", "any", "22", "1-500"]
    private static let kinds: [ApplicationProtocol] = [.any, .tls, .quic, .http, .ssh]
    private static let programs: [String?] = [nil, nil, "/bin/x", "/bin/y"]
    private static let destinations = ["192.0.2.1:443", "192.0.2.9:443/udp", "192.0.2.9:22", "198.51.100.1:443"]

    private static func pick<Element>(_ elements: [Element], _ random: inout SplitMix) -> Element {
        elements[Int.random(in: 0..<elements.count, using: &random)]
    }

    private static func rule(_ name: String, isDeny: Bool, _ random: inout SplitMix) throws -> Rule {
        let isWide = Bool.random(using: &random)
        return try Make.rule(
            name,
            to: (0..<Int.random(in: 1...2, using: &random)).map { _ in pick(targets, &random) },
            ports: [pick(specs, &random)] + (isWide ? [pick(specs, &random)] : []),
            application: isDeny ? .any : pick(kinds, &random),
            executable: isDeny ? nil : pick(programs, &random),
        )
    }

    private static func workload(_ random: inout SplitMix) throws -> Workload {
        let allow = try (0..<Int.random(in: 0...5, using: &random)).map { try rule("a\($0)", isDeny: false, &random) }
        let isOpen = Int.random(in: 0..<3, using: &random) > 0
        return try Make.workload(allow: allow, deny: isOpen ? [] : [rule("deny", isDeny: true, &random)])
    }

    private static func question(_ random: inout SplitMix) throws -> Case {
        let pinned = names.filter { _ in Bool.random(using: &random) }
        let to = pick(destinations, &random)
        let question = try Make.question(
            to,
            executable: pick(programs, &random),
            isCertain: Int.random(in: 0..<4, using: &random) > 0,
            names: pinned,
        )
        let name = pick(names + ["none.test", ""], &random)
        return Case(
            question: question,
            spoken: pick([nil, .tls, .quic, .http, .ssh], &random),
            serverName: name.isEmpty ? nil : try DomainName(name),
        )
    }

    /// Whether a rule is for the destination at all and may be used by the program.
    private func isFor(_ rule: Rule, _ question: Question) -> Bool {
        let destination = question.destination
        let isItsProgram = question.executableIsCertain && rule.executable == question.executable
        let carrier: Transport = rule.application == .quic ? .udp : .tcp
        return (rule.executable == nil || isItsProgram)
            && rule.ports.contains { $0.covers(destination.port, destination.transport) }
            && (rule.application == .any || destination.transport == carrier)
    }

    private func covers(_ rule: Rule, _ address: IPAddress) -> Bool { rule.targets.contains { $0.covers(address) } }

    private func covers(_ rule: Rule, _ name: DomainName) -> Bool { rule.targets.contains { $0.covers(name) } }

    /// What a person would say who reads the policy rule by rule.
    private func isAllowed(_ workload: Workload, _ asked: Case) -> Bool {
        let (question, address) = (asked.question, asked.question.destination.address)
        let isDenied = { (names: [DomainName]) in
            workload.deny.contains { rule in
                isFor(rule, question) && (covers(rule, address) || names.contains { covers(rule, $0) })
            }
        }
        guard !isDenied(question.names) else { return false }
        let rules = workload.allow.filter { isFor($0, question) }
        let isPlain = rules.contains { rule in
            rule.application == .any && (covers(rule, address) || question.names.contains { covers(rule, $0) })
        }
        if isPlain { return true }
        if let name = asked.serverName, isDenied([name]) { return false }
        return rules.contains { rule in
            guard rule.application == asked.spoken else { return false }
            if covers(rule, address) { return true }
            if rule.application == .ssh { return question.names.contains { covers(rule, $0) } }
            return asked.serverName.map { covers(rule, $0) && question.names.contains($0) } ?? false
        }
    }

    @Test func flightsPassWhereARuleSaysSo() throws {
        let seed = SplitMix.seed()
        var random = SplitMix(state: seed)
        var counts: [Bool: Int] = [:]
        for round in 0..<4000 {
            let (workload, asked) = (try Self.workload(&random), try Self.question(&random))
            let decision = workload.decide(asked.question, spoken: asked.spoken, serverName: asked.serverName)
            let expected = isAllowed(workload, asked)
            counts[expected, default: 0] += 1
            let begun = workload.decide(asked.question)
            let isRight =
                (decision.verdict == .allow) == expected && decision.protocols.isEmpty
                && (begun.verdict == .allow || !expected)
            guard !isRight else { continue }
            Issue.record("EGRESSD_SEED=\(seed) round \(round): \(decision) of \(asked) by \(workload)")
            return
        }
        // Random policies that allow nothing, or everything, show nothing.
        #expect((counts[true] ?? 0) > 200 && (counts[false] ?? 0) > 200, "EGRESSD_SEED=\(seed): \(counts)")
    }
}
