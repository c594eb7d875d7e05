import Model
import Policy
import Testing

/// What first flights come to.
struct FlightTests {
    /// What a first flight says: what is spoken, and the server that it names.
    private struct Said {
        var spoken: ApplicationProtocol?
        var name: String?

        init(_ spoken: ApplicationProtocol?, _ name: String? = nil) {
            self.spoken = spoken
            self.name = name
        }
    }

    private func decide(
        _ workload: Workload,
        _ to: String,
        _ said: Said,
        pinned: [String] = [],
        executable: String? = nil,
        isCertain: Bool = true,
    ) throws -> Decision {
        workload.decide(
            try Make.question(to, executable: executable, isCertain: isCertain, names: pinned),
            spoken: said.spoken,
            serverName: try said.name.map { try DomainName($0) },
        )
    }

    private func allowed(_ rule: String, by name: String? = nil) throws -> Decision {
        Decision(verdict: .allow, reason: .rule, rule: rule, name: try name.map { try DomainName($0) })
    }

    private func denied(_ reason: Reason, _ rule: String? = nil, by name: String? = nil) throws -> Decision {
        Decision(verdict: .deny, reason: reason, rule: rule, name: try name.map { try DomainName($0) })
    }

    private static let world = "93.184.216.80:443"

    @Test func aNameNeedsItsPinAndItsRule() throws {
        let policy = try Make.workload(allow: [
            Make.rule("hub", to: ["hub.example", "*.hub.example"], ports: ["443"], application: .tls),
            Make.rule("files", to: ["files.example"], ports: ["8443"], application: .tls),
        ])
        let pinned = ["hub.example", "files.example"]
        let tls = { (name: String?) in try decide(policy, Self.world, Said(.tls, name), pinned: pinned) }
        #expect(try tls("hub.example") == allowed("hub", by: "hub.example"))
        #expect(try tls("HUB.example.") == allowed("hub", by: "hub.example"))
        let wrong = try denied(.wrongName, "hub", by: "hub.example")
        #expect(try tls("a.hub.example") == wrong, "the rule covers it, and it is not pinned")
        #expect(try tls("files.example") == wrong, "it is pinned, and the rule is for another port")
        #expect(try tls("other.example") == wrong)
        #expect(try tls(nil) == wrong)
        #expect(try decide(policy, Self.world, Said(.tls, "hub.example")) == denied(.unknownDestination))
    }

    @Test func anotherProtocolIsWrongWhateverItNames() throws {
        let policy = try Make.workload(allow: [Make.rule("hub", to: ["hub.example"], application: .tls)])
        for spoken in [ApplicationProtocol.http, .ssh, .quic, nil] {
            let decision = try decide(policy, Self.world, Said(spoken, "hub.example"), pinned: ["hub.example"])
            #expect(try decision == denied(.wrongProtocol, "hub", by: "hub.example"), "\(String(describing: spoken))")
        }
    }

    @Test func anAddressThatARuleNamesMayHaveAnyServerName() throws {
        let policy = try Make.workload(allow: [
            Make.rule("ten", to: ["10.0.0.0/8", "any"], ports: ["443"], application: .tls)
        ])
        for name in [nil, "x.example"] {
            #expect(try decide(policy, "10.0.0.1:443", Said(.tls, name)) == allowed("ten"))
            #expect(try decide(policy, "10.0.0.1:443", Said(.tls, name), pinned: ["y.example"]) == allowed("ten"))
            #expect(try decide(policy, "192.0.2.1:443", Said(.tls, name)) == allowed("ten"))
        }
        #expect(try decide(policy, "10.0.0.1:443", Said(nil)) == denied(.wrongProtocol, "ten"))
        #expect(try decide(policy, "10.0.0.1:443/udp", Said(.tls)) == denied(.unknownDestination))
    }

    @Test(arguments: [false, true])
    func whatIsAllowedWithoutProofIsNotHeldToOne(_ isLast: Bool) throws {
        let inspected = [
            try Make.rule("tls", to: ["10.0.0.0/8"], application: .tls),
            try Make.rule("ssh", to: ["hub.example"], application: .ssh),
        ]
        let plain = [try Make.rule("plain", to: ["10.0.0.1"])]
        let policy = try Make.workload(allow: isLast ? inspected + plain : plain + inspected)
        #expect(try policy.decide(Make.question("10.0.0.1:443", names: ["hub.example"])) == allowed("plain"))
        for said in [Said(nil), Said(.tls, "x.example"), Said(.http)] {
            #expect(try decide(policy, "10.0.0.1:443", said, pinned: ["hub.example"]) == allowed("plain"))
        }
        #expect(try decide(policy, "10.0.0.2:443", Said(nil)).reason == .wrongProtocol)
    }

    @Test func severalRulesOfOneAddress() throws {
        let rules = [
            try Make.rule("web", to: ["hub.example"], application: .tls),
            try Make.rule("wide", to: ["*.example"], application: .tls),
            try Make.rule("git", to: ["git.example"], application: .ssh),
            try Make.rule("plain-web", to: ["93.184.216.0/24"], application: .http),
        ]
        let pinned = ["hub.example", "git.example", "a.example"]
        for order in [rules, rules.reversed()] {
            let policy = try Make.workload(allow: Array(order))
            let begun = try policy.decide(Make.question(Self.world, names: pinned))
            #expect(begun.protocols == [.tls, .ssh, .http])
            #expect(begun.rule == "plain-web", "a rule for the address comes first")
            let say = { (said: Said) in try decide(policy, Self.world, said, pinned: pinned) }
            let hub = try say(Said(.tls, "hub.example"))
            #expect(hub.rule == order.first { $0.application == .tls }?.name)
            #expect(try say(Said(.tls, "a.example")) == allowed("wide", by: "a.example"))
            #expect(try say(Said(.tls, "b.example")).reason == .wrongName)
            #expect(try say(Said(.ssh)) == allowed("git", by: "git.example"))
            #expect(try say(Said(.http, "whatever.example")) == allowed("plain-web"))
            #expect(try say(Said(.quic, "hub.example")) == denied(.wrongProtocol, "plain-web"))
        }
    }

    @Test func aServerNameThatARuleDeniesIsDenied() throws {
        let policy = try Make.workload(
            allow: [
                Make.rule("hub", to: ["*.hub.example"], ports: ["443"], application: .tls),
                Make.rule("ten", to: ["10.0.0.0/8"], application: .tls),
                Make.rule("plain", to: ["10.1.0.0/16"]),
            ],
            deny: [
                Make.rule("evil", to: ["evil.hub.example"]),
                Make.rule("half", to: ["half.hub.example"], ports: ["80"]),
            ],
        )
        let evil = try denied(.deniedByRule, "evil", by: "evil.hub.example")
        let said = Said(.tls, "evil.hub.example")
        #expect(try decide(policy, Self.world, said, pinned: ["a.hub.example"]) == evil)
        #expect(try decide(policy, "10.0.0.1:443", said) == evil, "an address that a rule allows, too")
        #expect(try decide(policy, "10.1.0.1:443", said) == allowed("plain"), "nobody reads what is said there")
        let half = Said(.tls, "half.hub.example")
        #expect(try decide(policy, "10.0.0.1:443", half) == allowed("ten"), "its other ports are allowed")
        #expect(try decide(policy, "10.0.0.1:80", half).rule == "half")
    }

    @Test func aProgramIsAskedFor() throws {
        let policy = try Make.workload(allow: [
            Make.rule("python", to: ["hub.example"], application: .tls, executable: "/bin/py"),
            Make.rule("git", to: ["hub.example"], application: .ssh),
            Make.rule("address", to: ["10.0.0.1"], executable: "/bin/py"),
            Make.rule("any-program", to: ["10.0.0.1"], application: .tls),
        ])
        let say = { (said: Said, program: String?, isCertain: Bool) in
            try decide(
                policy,
                Self.world,
                said,
                pinned: ["hub.example"],
                executable: program,
                isCertain: isCertain,
            )
        }
        let hello = Said(.tls, "hub.example")
        #expect(try say(hello, "/bin/py", true) == allowed("python", by: "hub.example"))
        let refused = try denied(.wrongProtocol, "git", by: "hub.example")
        #expect(try say(hello, "/bin/sh", true) == refused)
        #expect(try say(hello, "/bin/py", false) == refused)
        #expect(try say(Said(.ssh), "/bin/sh", true) == allowed("git", by: "hub.example"))
        #expect(try decide(policy, "10.0.0.1:443", Said(nil), executable: "/bin/py") == allowed("address"))
        #expect(try decide(policy, "10.0.0.1:443", Said(nil), executable: "/bin/sh").reason == .wrongProtocol)
        #expect(try decide(policy, "10.0.0.1:443", Said(.tls), executable: "/bin/sh") == allowed("any-program"))
    }

    @Test func sshNamesNobody() throws {
        let policy = try Make.workload(allow: [Make.rule("git", to: ["*.example"], ports: ["22"], application: .ssh)])
        let to = "93.184.216.80:22"
        #expect(try decide(policy, to, Said(.ssh), pinned: ["git.example"]) == allowed("git", by: "git.example"))
        #expect(try decide(policy, to, Said(.ssh)) == denied(.unknownDestination))
        let hello = try decide(policy, to, Said(.tls, "git.example"), pinned: ["git.example"])
        #expect(try hello == denied(.wrongProtocol, "git", by: "git.example"))
    }

    @Test func httpAndItsHost() throws {
        let web = try Make.rule("web", to: ["web.example"], ports: ["80"], application: .http)
        let policy = try Make.workload(allow: [web])
        let say = { (name: String?) in
            try decide(policy, "93.184.216.80:80", Said(.http, name), pinned: ["web.example"])
        }
        #expect(try say("web.example") == allowed("web", by: "web.example"))
        #expect(try say("other.example") == denied(.wrongName, "web", by: "web.example"))
        #expect(try say(nil) == denied(.wrongName, "web", by: "web.example"))
    }

    @Test func quicAndTLSOfOneName() throws {
        let policy = try Make.workload(allow: [
            Make.rule("tls", to: ["hub.example"], ports: ["443/tcp", "443/udp"], application: .tls),
            Make.rule("quic", to: ["hub.example"], ports: ["443/tcp", "443/udp"], application: .quic),
        ])
        let udp = "93.184.216.80:443/udp"
        let say = { (to: String, said: Said) in try decide(policy, to, said, pinned: ["hub.example"]) }
        #expect(try say(udp, Said(.quic, "hub.example")) == allowed("quic", by: "hub.example"))
        #expect(try say(Self.world, Said(.tls, "hub.example")) == allowed("tls", by: "hub.example"))
        #expect(try say(udp, Said(.tls, "hub.example")).reason == .wrongProtocol)
        #expect(try say(Self.world, Said(.quic, "hub.example")).reason == .wrongProtocol)
        #expect(try say(udp, Said(.quic, "other.example")).reason == .wrongName)
    }

    @Test func metadataAndPortlessTransportsStayDenied() throws {
        let policy = try Make.workload(allow: [Make.rule("all", to: ["any"], application: .tls)])
        #expect(try decide(policy, "169.254.169.254:443", Said(.tls, "x.example")) == denied(.specialAddress))
        let ping = Question(destination: Destination(address: .v4(1), port: 0, transport: Transport(number: 1)))
        #expect(try policy.decide(ping, spoken: .tls, serverName: DomainName("x.example")).reason == .wrongProtocol)
    }
}
