import Model
import Policy
import Testing

struct MeaningTests {
    private func policy() throws -> Workload {
        try Make.workload(
            allow: [
                Make.rule("packages", to: ["packages.example.org", "*.hf.co"], ports: ["443"], application: .tls),
                Make.rule("weights", to: ["huggingface.co"], ports: ["443"], application: .tls, executable: "/bin/py"),
                Make.rule("storage", to: ["10.0.0.0/8"], ports: ["any"], application: .tls),
            ],
            deny: [Make.rule("bad", to: ["evil.hf.co", "10.7.0.0/16"])],
        )
    }

    @Test(arguments: [
        ("packages.example.org", 443, Verdict.allow, Reason.rule, "packages"),
        ("PACKAGES.example.ORG.", 443, .allow, .rule, "packages"),
        ("a.b.hf.co", 443, .allow, .rule, "packages"),
        ("hf.co", 443, .deny, .nameNotAllowed, ""),
        ("xhf.co", 443, .deny, .nameNotAllowed, ""),
        ("evil.hf.co", 443, .deny, .deniedByRule, "bad"),
        ("packages.example.org", 80, .deny, .unknownDestination, ""),
        ("huggingface.co", 443, .allow, .rule, "weights"),
    ])
    func names(_ name: String, _ port: UInt16, _ verdict: Verdict, _ reason: Reason, _ rule: String) throws {
        let decision = try policy().decide(name: DomainName(name), port: port)
        #expect(decision == Decision(verdict: verdict, reason: reason, rule: rule.isEmpty ? nil : rule))
    }

    @Test func programs() throws {
        let name = try DomainName("huggingface.co")
        #expect(try policy().decide(name: name, port: 443, executable: "/bin/sh").reason == .wrongExecutable)
        #expect(try policy().decide(name: name, port: 443, executable: "/bin/py").verdict == .allow)
    }

    @Test func protocolsCountAsSpokenOverTheirTransport() throws {
        let address = Expectation.Subject.address(.v4(0x0a00_0001))
        #expect(try policy().decide(address, port: 22).verdict == .allow)
        #expect(try policy().decide(address, port: 22, transport: .udp).reason == .unknownDestination)
        #expect(try policy().decide(.address(.v4(0x0a07_0001)), port: 22).reason == .deniedByRule)
    }

    @Test func whatIsUnknownIsForTheModeToSay() throws {
        var workload = try policy()
        let unknown = workload.decide(.address(.v4(0xcb00_7109)), port: 22)
        let denied = workload.decide(.address(.v4(0x0a07_0001)), port: 22)
        for (mode, verdict) in [(UnknownMode.deny, Verdict.deny), (.hold(.seconds(30)), .hold), (.observe, .observe)] {
            workload.unknown = mode
            #expect(workload.outcome(of: unknown) == verdict)
            #expect(workload.outcome(of: denied) == .deny)
        }
    }

    @Test func failuresSayWhatCameOut() throws {
        let read = try Expectation.Subject.read("files.example.org:443")
        let expectation = Expectation(subject: read.subject, port: read.port, verdict: .allow)
        let failures = try policy().check([expectation])
        let line = "a.yaml: expected allow for files.example.org:443, but it is deny (name-not-allowed)"
        #expect(failures.map(\.description) == [line])
    }

    @Test func explanation() throws {
        let explanation = try policy().explain(.address(.v4(0x0a00_0001)), port: 443)
        #expect(explanation.verdict == .allow)
        #expect(explanation.lines.map(\.rule.name) == ["bad", "packages", "weights", "storage"])
        #expect(
            explanation.lines.map(\.outcome)
                == [.otherDestination, .otherDestination, .otherDestination, .needsProtocol]
        )
    }

    @Test func explanationNamesThePrograms() throws {
        let fetch = try Make.rule("fetch", to: ["10.0.0.1"], executable: "/usr/bin/fetch")
        let tls = try Make.rule("tls", to: ["10.0.0.1"], application: .tls, executable: "/usr/bin/curl")
        let plain = try Make.rule("plain", to: ["10.0.0.1"], ports: ["80"])
        var workload = try Make.workload(allow: [fetch, tls, plain])
        func explain(_ port: UInt16, _ executable: String? = nil) -> Explanation {
            workload.explain(.address(.v4(0x0a00_0001)), port: port, executable: executable)
        }
        #expect(explain(443).lines.map(\.outcome) == [.needsExecutable, .needsProtocol, .otherPort])
        #expect(explain(443).executables == ["/usr/bin/curl", "/usr/bin/fetch"])
        #expect(explain(80).lines.map(\.outcome) == [.needsExecutable, .needsProtocol, .covers])
        #expect(explain(80).executables == [], "any program may")
        let known = explain(443, "/usr/bin/fetch")
        #expect(known.lines.map(\.outcome) == [.covers, .otherExecutable, .otherPort])
        #expect(known.verdict == .allow && known.executables == [])
        let other = explain(443, "/usr/bin/ssh")
        #expect((other.verdict, other.decision.reason) == (.deny, .wrongExecutable))
        #expect(other.executables == [])
        workload.deny = [try Make.rule("never", to: ["10.0.0.1"])]
        #expect(explain(443).executables == [])
    }

    @Test func warnings() throws {
        var workload = try policy()
        workload.allow.append(try Make.rule("loose", to: ["a.example"]))
        workload.allow.append(try Make.rule("fine", to: ["10.0.0.1"]))
        let warnings = workload.warnings
        #expect(warnings.map(\.rule) == ["loose", "bad"])
        #expect(warnings.first?.message.contains("trusts the address alone") == true)
        #expect(try PolicySet([], folder: "policies").warnings.map(\.file) == ["policies"])
    }
}
