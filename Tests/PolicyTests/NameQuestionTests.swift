import Model
import Policy
import Testing

/// Which names may be asked for, and for which types.
struct NameQuestionTests {
    private func ask(_ workload: Workload, _ name: String, _ type: String = "A", pinned: [String] = []) throws
        -> Decision
    {
        workload.decide(name: try DomainName(name), type: type, pinned: try pinned.map { try DomainName($0) })
    }

    private func allowed(_ rule: String, by name: String? = nil) throws -> Decision {
        Decision(verdict: .allow, reason: .rule, rule: rule, name: try name.map { try DomainName($0) })
    }

    private func denied(_ reason: Reason, _ rule: String? = nil) -> Decision {
        Decision(verdict: .deny, reason: reason, rule: rule)
    }

    private func policy() throws -> Workload {
        try Make.workload(
            allow: [
                Make.rule("storage", to: ["10.20.0.0/16", "fd00:20::/48"], ports: ["443"]),
                Make.rule("hub", to: ["hub.example", "*.hub.example"], ports: ["443"], application: .tls),
                Make.rule("mail", to: ["hub.example", "mail.example"], ports: ["25"], types: ["MX", "TXT"]),
                Make.rule("python", to: ["py.example"], ports: ["443"], executable: "/usr/bin/python3.11"),
            ],
            deny: [
                Make.rule("evil", to: ["evil.hub.example", "*.bad.hub.example", "10.20.7.0/24"]),
                Make.rule("some", to: ["half.hub.example", "10.20.8.0/24"], ports: ["80"]),
                Make.rule("split", to: ["split.hub.example"], ports: ["any/udp", "1-1024", "1025-65535"]),
            ],
        )
    }

    @Test func theFirstRuleThatCoversTheNameIsGiven() throws {
        let policy = try policy()
        #expect(try ask(policy, "hub.example") == allowed("hub"))
        #expect(try ask(policy, "a.b.hub.example") == allowed("hub"))
        #expect(try ask(policy, "mail.example") == allowed("mail"))
        #expect(try ask(policy, "py.example") == allowed("python"), "which program asks is for the connection to say")
        #expect(try ask(policy, "xhub.example") == denied(.nameNotAllowed))
        #expect(try ask(policy, "example") == denied(.nameNotAllowed))
        #expect(try ask(Make.workload(), "hub.example") == denied(.nameNotAllowed))
        #expect(try ask(Make.workload(allow: [Make.rule("all", to: ["any"])]), "x.example") == allowed("all"))
    }

    @Test(arguments: ["A", "AAAA", "HTTPS", "SVCB", "SRV", "CNAME", "PTR"])
    func someTypesNeedNoEntry(_ type: String) throws {
        #expect(try ask(policy(), "hub.example", type) == allowed("hub"))
        #expect(try ask(policy(), "other.example", type) == denied(.nameNotAllowed))
    }

    @Test(arguments: ["TXT", "MX"])
    func theOthersNeedOne(_ type: String) throws {
        let policy = try policy()
        #expect(try ask(policy, "mail.example", type) == allowed("mail"))
        #expect(try ask(policy, "hub.example", type) == allowed("mail"), "the first rule that permits the type")
        #expect(try ask(policy, "a.hub.example", type) == denied(.nameNotAllowed))
        let all = try Make.workload(allow: [Make.rule("all", to: ["any"])])
        #expect(try ask(all, "hub.example", type) == denied(.nameNotAllowed))
    }

    @Test(arguments: ["NS", "SOA", "NULL", "ANY", "AXFR", "TYPE65399", "", "txt"])
    func whatNoRuleListsIsRefused(_ type: String) throws {
        #expect(try ask(policy(), "mail.example", type) == denied(.nameNotAllowed))
    }

    @Test func denyBeatsAllowWhenItLeavesNoPort() throws {
        let policy = try policy()
        #expect(try ask(policy, "evil.hub.example") == denied(.deniedByRule, "evil"))
        #expect(try ask(policy, "a.bad.hub.example", "TXT") == denied(.deniedByRule, "evil"))
        #expect(try ask(policy, "bad.hub.example") == allowed("hub"))
        #expect(try ask(policy, "half.hub.example") == allowed("hub"), "its other ports are allowed")
        #expect(try ask(policy, "split.hub.example") == denied(.deniedByRule, "split"), "every port, in pieces")
        var closed = policy
        closed.deny.append(try Make.rule("all", to: ["any"]))
        #expect(try ask(closed, "hub.example") == denied(.deniedByRule, "all"))
        #expect(try ask(closed, "evil.hub.example") == denied(.deniedByRule, "evil"))
    }

    @Test func rulesThatChangeAreFoundAnew() throws {
        var policy = try policy()
        policy.allow.removeAll { $0.name == "hub" }
        #expect(try ask(policy, "a.hub.example") == denied(.nameNotAllowed))
        policy.allow.insert(try Make.rule("new", to: ["a.hub.example"]), at: 0)
        #expect(try ask(policy, "a.hub.example") == allowed("new"))
        policy.deny = []
        #expect(try ask(policy, "evil.hub.example") == denied(.nameNotAllowed))
    }

    @Test(arguments: ["SRV", "SVCB", "HTTPS"])
    func servicesBelongToTheirName(_ type: String) throws {
        let policy = try policy()
        #expect(try ask(policy, "_ldap._tcp.mail.example", type) == allowed("mail"))
        #expect(try ask(policy, "_dns.mail.example", type) == allowed("mail"))
        #expect(try ask(policy, "_8443._https.hub.example", type) == allowed("hub"))
        #expect(try ask(policy, "_ldap._tcp.other.example", type) == denied(.nameNotAllowed))
        #expect(try ask(policy, "_a._b._c.mail.example", type) == denied(.nameNotAllowed))
        #expect(try ask(policy, "_kerberos-master._udp.mail.example", type) == allowed("mail"))
        #expect(try ask(policy, "_kerberos-masters._udp.mail.example", type) == denied(.nameNotAllowed))
        #expect(try ask(policy, "ldap._tcp.mail.example", type) == denied(.nameNotAllowed))
        #expect(try ask(policy, "_tcp", type) == denied(.nameNotAllowed))
        #expect(try ask(policy, "_x._tcp.evil.hub.example", type) == denied(.deniedByRule, "evil"))
    }

    @Test func otherTypesAreAskedOfTheNameItself() throws {
        let policy = try policy()
        for type in ["A", "TXT", "PTR", "CNAME"] {
            #expect(try ask(policy, "_ldap._tcp.mail.example", type) == denied(.nameNotAllowed))
        }
        let dane = try Make.workload(allow: [Make.rule("dane", to: ["mail.example"], types: ["TLSA"])])
        #expect(try ask(dane, "_25._tcp.mail.example", "TLSA") == allowed("dane"))
        #expect(try ask(dane, "_25._tcp.mail.example", "URI") == denied(.nameNotAllowed))
    }

    @Test func theNameOfAnAddressThatARuleCovers() throws {
        let policy = try policy()
        #expect(try ask(policy, "1.6.20.10.in-addr.arpa", "PTR") == allowed("storage"))
        #expect(try ask(policy, "1.8.20.10.in-addr.arpa", "PTR") == allowed("storage"))
        #expect(try ask(policy, "1.7.20.10.in-addr.arpa", "PTR") == denied(.deniedByRule, "evil"))
        #expect(try ask(policy, "1.0.21.10.in-addr.arpa", "PTR") == denied(.nameNotAllowed))
        #expect(try ask(policy, "1.6.20.10.in-addr.arpa", "A") == denied(.nameNotAllowed))
        #expect(try ask(policy, "20.10.in-addr.arpa", "PTR") == denied(.nameNotAllowed))
        let zeros = String(repeating: "0.", count: 19)
        #expect(try ask(policy, "1.\(zeros)0.0.0.0.0.2.0.0.0.d.f.ip6.arpa", "PTR") == denied(.nameNotAllowed))
        #expect(try ask(policy, "1.\(zeros)0.0.0.0.0.2.0.0.0.0.d.f.ip6.arpa", "PTR") == allowed("storage"))
    }

    @Test func theNameOfAPinnedAddress() throws {
        let policy = try policy()
        let name = "80.216.184.93.in-addr.arpa"
        #expect(try ask(policy, name, "PTR") == denied(.nameNotAllowed))
        let pinned = ["old.example", "a.hub.example"]
        #expect(try ask(policy, name, "PTR", pinned: pinned) == allowed("hub", by: "a.hub.example"))
        #expect(try ask(policy, name, "PTR", pinned: ["old.example"]) == denied(.nameNotAllowed))
        #expect(try ask(policy, name, "A", pinned: pinned) == denied(.nameNotAllowed))
        #expect(try ask(policy, "other.example", "PTR", pinned: pinned) == denied(.nameNotAllowed))
        #expect(try ask(policy, name, "PTR", pinned: pinned + ["evil.hub.example"]) == denied(.deniedByRule, "evil"))
    }

    @Test func theNameOfAnAddressThatARuleNamesLiterally() throws {
        let literal = try Make.workload(allow: [Make.rule("arpa", to: ["*.216.184.93.in-addr.arpa"])])
        #expect(try ask(literal, "80.216.184.93.in-addr.arpa", "PTR") == allowed("arpa"))
        #expect(try ask(literal, "80.217.184.93.in-addr.arpa", "PTR") == denied(.nameNotAllowed))
    }

    @Test func theNameOfAMetadataService() throws {
        let name = "254.169.254.169.in-addr.arpa"
        let wide = try Make.workload(allow: [Make.rule("all", to: ["any", "169.254.0.0/16"])])
        #expect(try ask(wide, name, "PTR") == denied(.specialAddress))
        let exact = try Make.workload(allow: [Make.rule("exact", to: ["169.254.169.254"])])
        #expect(try ask(exact, name, "PTR") == allowed("exact"))
    }

    /// The index and a look at every rule come to the same end.
    @Test func theIndexAgreesWithTryingEveryRule() throws {
        var random = SystemRandomNumberGenerator()
        let names = ["a", "b", "a.b", "b.b", "c.a.b", "b.a.b", "b.c.a.b"]
        let targets = names + names.map { "*.\($0)" } + ["any", "10.0.0.1"]
        for _ in 0..<500 {
            let rules = { (kind: String) in
                try (0..<Int.random(in: 0...5, using: &random)).map { number in
                    let to = (0...Int.random(in: 0...3, using: &random)).map { _ in
                        targets.randomElement(using: &random) ?? "a"
                    }
                    return try Make.rule("\(kind)\(number)", to: to, ports: [Bool.random() ? "any" : "443"])
                }
            }
            let workload = try Make.workload(allow: rules("allow"), deny: rules("deny"))
            for text in names {
                let name = try DomainName(text)
                let expected: Decision
                if let rule = workload.deny.first(where: { $0.covers(name) && $0.ports == [.any] }) {
                    expected = denied(.deniedByRule, rule.name)
                } else if let rule = workload.allow.first(where: { $0.covers(name) }) {
                    expected = try allowed(rule.name)
                } else {
                    expected = denied(.nameNotAllowed)
                }
                #expect(try ask(workload, text) == expected, "\(text): \(workload.allow) \(workload.deny)")
            }
        }
    }
}
