import Model
import Policy
import Testing

/// What pinned names allow.
struct PinTests {
    private func decide(_ workload: Workload, _ to: String, _ names: [String], executable: String? = nil) throws
        -> Decision
    {
        workload.decide(try Make.question(to, executable: executable, names: names))
    }

    private func allowed(
        _ rule: String,
        by name: String? = nil,
        proving protocols: Set<ApplicationProtocol> = [],
    ) throws -> Decision {
        Decision(
            verdict: .allow,
            reason: .rule,
            rule: rule,
            name: try name.map { try DomainName($0) },
            protocols: protocols,
        )
    }

    private func denied(_ reason: Reason, _ rule: String? = nil, by name: String? = nil) throws -> Decision {
        Decision(verdict: .deny, reason: reason, rule: rule, name: try name.map { try DomainName($0) })
    }

    private func policy() throws -> Workload {
        try Make.workload(
            allow: [
                Make.rule("hub", to: ["hub.example", "*.hub.example"], ports: ["443"], application: .tls),
                Make.rule("quic", to: ["hub.example"], ports: ["443/udp"], application: .quic),
                Make.rule("storage", to: ["10.20.0.0/16"], ports: ["443"]),
                Make.rule("inspected", to: ["10.30.0.0/16"], ports: ["443"], application: .tls),
                Make.rule("python", to: ["py.example"], ports: ["443"], executable: "/bin/py"),
                Make.rule("every", to: ["any"], ports: ["8443"], application: .tls),
            ],
            deny: [
                Make.rule("evil", to: ["evil.hub.example"]),
                Make.rule("part", to: ["half.hub.example", "10.20.7.0/24"], ports: ["443"]),
            ],
        )
    }

    @Test func aPinnedNameAllowsItsAddress() throws {
        let policy = try policy()
        #expect(try decide(policy, "93.184.216.80:443", []) == denied(.unknownDestination))
        let hub = try allowed("hub", by: "hub.example", proving: [.tls])
        #expect(try decide(policy, "93.184.216.80:443", ["hub.example"]) == hub)
        #expect(try decide(policy, "93.184.216.80:444", ["hub.example"]) == denied(.unknownDestination))
        let below = try allowed("hub", by: "a.hub.example", proving: [.tls])
        #expect(try decide(policy, "[2606::80]:443", ["a.hub.example"]) == below)
        #expect(try decide(policy, "93.184.216.80:443", ["other.example"]) == denied(.unknownDestination))
        let two = try decide(policy, "93.184.216.80:443", ["other.example", "b.hub.example", "hub.example"])
        #expect(try two == allowed("hub", by: "b.hub.example", proving: [.tls]))
        let plain = try Make.workload(allow: [Make.rule("plain", to: ["hub.example"])])
        #expect(try decide(plain, "93.184.216.80:443", ["hub.example"]) == allowed("plain", by: "hub.example"))
    }

    @Test func theFirstRuleDecidesWhicheverNameComesFirst() throws {
        let workload = try Make.workload(allow: [
            Make.rule("first", to: ["a.example"]), Make.rule("second", to: ["b.example"]),
        ])
        #expect(
            try decide(workload, "93.184.216.80:443", ["b.example", "a.example"]) == allowed("first", by: "a.example")
        )
    }

    @Test func theDeclaredProtocolNeedsItsTransport() throws {
        let policy = try policy()
        let quic = try allowed("quic", by: "hub.example", proving: [.quic])
        #expect(try decide(policy, "93.184.216.80:443/udp", ["hub.example"]) == quic)
        #expect(try decide(policy, "93.184.216.80:443/udp", ["a.hub.example"]) == denied(.unknownDestination))
        let wide = try Make.workload(allow: [Make.rule("tls", to: ["a.example"], application: .tls)])
        let tls = try allowed("tls", by: "a.example", proving: [.tls])
        #expect(try decide(wide, "93.184.216.80:443", ["a.example"]) == tls)
        #expect(try decide(wide, "93.184.216.80:443/udp", ["a.example"]) == denied(.unknownDestination))
    }

    @Test func rulesForAddressesComeFirstAndKeepTheirProtocol() throws {
        let policy = try policy()
        #expect(try decide(policy, "10.20.0.1:443", ["hub.example"]) == allowed("storage"))
        let inspected = try allowed("inspected", proving: [.tls])
        #expect(try decide(policy, "10.30.0.1:443", ["other.example"]) == inspected)
        #expect(try decide(policy, "10.30.0.1:443", ["hub.example"]) == inspected)
        #expect(try decide(policy, "10.30.0.1:443/udp", []) == denied(.unknownDestination))
        for names in [[], ["x.example"]] {
            #expect(try decide(policy, "93.184.216.80:8443", names) == allowed("every", proving: [.tls]))
        }
    }

    @Test func aProgramIsAskedFor() throws {
        let policy = try policy()
        let to = "93.184.216.80:443"
        #expect(try decide(policy, to, ["py.example"], executable: "/bin/py") == allowed("python", by: "py.example"))
        let wrong = try denied(.wrongExecutable, "python", by: "py.example")
        #expect(try decide(policy, to, ["py.example"], executable: "/bin/sh") == wrong)
        #expect(try decide(policy, to, ["py.example"]) == wrong)
        let hub = try allowed("hub", by: "hub.example", proving: [.tls])
        #expect(try decide(policy, to, ["py.example", "hub.example"]) == hub)
        // What the program may say anything to needs no proof.
        let names = ["py.example", "hub.example"]
        #expect(try decide(policy, to, names, executable: "/bin/py") == allowed("python", by: "py.example"))
        let both = try Make.workload(allow: [
            Make.rule("address", to: ["93.184.216.80"], executable: "/bin/a"),
            Make.rule("name", to: ["py.example"], executable: "/bin/py"),
        ])
        #expect(try decide(both, to, ["py.example"], executable: "/bin/py") == allowed("name", by: "py.example"))
        #expect(try decide(both, to, ["py.example"]) == denied(.wrongExecutable, "address"))
    }

    @Test func denyBeatsPins() throws {
        let policy = try policy()
        let evil = try denied(.deniedByRule, "evil", by: "evil.hub.example")
        #expect(try decide(policy, "93.184.216.80:443", ["hub.example", "evil.hub.example"]) == evil)
        #expect(try decide(policy, "10.20.0.1:443", ["evil.hub.example"]) == evil, "an address that a rule allows, too")
        let half = try denied(.deniedByRule, "part", by: "half.hub.example")
        #expect(try decide(policy, "93.184.216.80:443", ["half.hub.example"]) == half)
        #expect(try decide(policy, "10.20.7.1:443", ["hub.example"]) == denied(.deniedByRule, "part"))
        #expect(try decide(policy, "10.20.7.1:443", ["half.hub.example"]) == denied(.deniedByRule, "part"))
        let first = try decide(policy, "10.20.7.1:443", ["evil.hub.example"])
        #expect(first == evil, "the first of the file")
    }

    @Test func metadataBeatsPins() throws {
        let all = try Make.workload(allow: [Make.rule("all", to: ["any", "a.example"])])
        for to in ["169.254.169.254:80", "168.63.129.16:80", "[fd00:ec2::254]:80"] {
            #expect(try decide(all, to, ["a.example"]) == denied(.specialAddress))
        }
        let destination = Destination(address: .v4(1), port: 0, transport: Transport(number: 1))
        let ping = Question(destination: destination, names: [try DomainName("a.example")])
        #expect(all.decide(ping).reason == .wrongProtocol)
    }

    private func ports(_ workload: Workload, _ name: String) throws -> [String] {
        workload.portsByPin(of: try DomainName(name)).map {
            "\($0.ports.lowerBound)-\($0.ports.upperBound)/\($0.transport)"
        }
    }

    @Test func portsOfPins() throws {
        let workload = try Make.workload(
            allow: [
                Make.rule("a", to: ["a.example"], ports: ["443", "100-200", "201", "150-160/udp"]),
                Make.rule("b", to: ["*.example"], ports: ["90-120"]),
                Make.rule("inspected", to: ["*.example"], ports: ["3000-4000", "any/udp"], application: .tls),
                Make.rule("quic", to: ["*.example"], ports: ["any/udp"], application: .quic),
                Make.rule("c", to: ["a.example"], ports: ["1000"], executable: "/bin/c"),
                Make.rule("d", to: ["10.0.0.1"], ports: ["2000"]),
                Make.rule("e", to: ["b.example"]),
            ],
            deny: [
                Make.rule("x", to: ["a.example"], ports: ["95", "110-130", "201-300", "155/udp"]),
                Make.rule("y", to: ["any"], ports: ["443/udp"]),
                Make.rule("z", to: ["b.example"], ports: ["0-0", "65535"].filter { $0 != "0-0" }),
            ],
        )
        #expect(
            try ports(workload, "a.example") == [
                "90-94/tcp", "96-109/tcp", "131-200/tcp", "443-443/tcp", "150-154/udp", "156-160/udp",
            ]
        )
        #expect(try ports(workload, "b.example") == ["0-65534/tcp", "0-442/udp", "444-65535/udp"])
        #expect(try ports(workload, "c.example") == ["90-120/tcp"])
        #expect(try ports(workload, "example") == [])
        let counts = workload.portsByPin(of: try DomainName("c.example")).map(\.count)
        #expect(counts == [31])
    }

    /// The ports of a pin are exactly those on which the evaluator allows its address to every program.
    @Test func portsOfPinsAgreeWithTheEvaluator() throws {
        var random = SystemRandomNumberGenerator()
        let specs = ["1-3", "3", "4-6/udp", "2-9", "5", "any/udp", "any", "7/udp", "9-12", "any/tcp", "8-9/udp"]
        let targets = ["a.example", "*.example", "b.example", "any", "192.0.2.1"]
        let kinds: [ApplicationProtocol] = [.any, .tls, .quic]
        let address = IPAddress.v4(0x5db8_d850)
        for _ in 0..<200 {
            let rules = { (isDeny: Bool) in
                try (0..<Int.random(in: 0...4, using: &random)).map { number in
                    try Make.rule(
                        "\(number)",
                        to: [targets.randomElement(using: &random) ?? "any"],
                        ports: [specs.randomElement(using: &random) ?? "any"],
                        application: isDeny ? .any : kinds.randomElement(using: &random) ?? .any,
                        executable: isDeny || Bool.random() ? nil : "/bin/x",
                    )
                }
            }
            let workload = try Make.workload(allow: rules(false), deny: rules(true))
            let name = try DomainName("a.example")
            let spans = workload.portsByPin(of: name)
            for (transport, port) in (0...14 as ClosedRange<UInt16>).flatMap({ [(Transport.tcp, $0), (.udp, $0)] }) {
                let isIn = spans.count { $0.transport == transport && $0.ports.contains(port) }
                let holds = workload.pinMayHold(name, address, port: port, transport: transport)
                #expect(isIn == (holds ? 1 : 0), "\(port)/\(transport) of \(workload.allow), \(workload.deny)")
            }
        }
    }

    @Test func whereAPinMayHold() throws {
        var policy = try policy()
        let (name, inspected) = (try DomainName("hub.example"), IPAddress.v4(0x5db8_d850))
        #expect(!policy.pinMayHold(name, inspected, port: 443, transport: .tcp), "its rule declares a protocol")
        policy.allow.insert(try Make.rule("plain", to: ["hub.example", "*.hub.example"], ports: ["443"]), at: 0)
        let (hub, evil) = (try DomainName("hub.example"), try DomainName("evil.hub.example"))
        let world = IPAddress.v4(0x5db8_d850)
        #expect(policy.pinMayHold(hub, world, port: 443, transport: .tcp))
        #expect(!policy.pinMayHold(hub, world, port: 444, transport: .tcp))
        #expect(!policy.pinMayHold(hub, world, port: 443, transport: .tcp, besides: [evil]))
        #expect(policy.pinMayHold(hub, world, port: 443, transport: .tcp, besides: [try DomainName("x.example")]))
        #expect(!policy.pinMayHold(try DomainName("py.example"), world, port: 443, transport: .tcp))
        let other = try DomainName("other.example")
        #expect(!policy.pinMayHold(other, world, port: 443, transport: .tcp, besides: [hub]), "its own name counts")
        #expect(!policy.pinMayHold(hub, .v4(0x0a14_0701), port: 443, transport: .tcp))
        #expect(!policy.pinMayHold(hub, .v4(0xa9fe_a9fe), port: 443, transport: .tcp))
    }

    @Test func specialAddressesArePinnedOnlyWhereARuleAllowsThem() throws {
        let policy = try policy()
        let may = { (workload: Workload, text: String) in workload.mayPin(try #require(IPAddress(text))) }
        #expect(try may(policy, "93.184.216.80"))
        #expect(try may(policy, "10.20.0.1"))
        #expect(try may(policy, "10.30.0.1"), "the rule for it declares a protocol")
        #expect(try !may(policy, "10.40.0.1"), "any with a protocol opens no address")
        #expect(try !may(policy, "64:ff9b::a9fe:a9fe"))
        let all = try Make.workload(allow: [Make.rule("all", to: ["any", "169.254.0.0/16"])])
        #expect(try may(all, "10.40.0.1"))
        #expect(try may(all, "169.254.1.1"))
        #expect(try !may(all, "169.254.169.254"))
        let exact = try Make.workload(allow: [Make.rule("exact", to: ["169.254.169.254"])])
        #expect(try may(exact, "169.254.169.254"))
    }
}

extension Workload {
    /// Whether the evaluator allows every program this address and port because the name is pinned to it, whatever is
    /// spoken there.
    ///
    /// `others` are the names that are pinned to the same address: what denies one of them denies the address.
    fileprivate func pinMayHold(
        _ name: DomainName,
        _ address: IPAddress,
        port: UInt16,
        transport: Transport,
        besides others: [DomainName] = [],
    ) -> Bool {
        let destination = Destination(address: address, port: port, transport: transport)
        var question = Question(destination: destination, names: [name])
        guard decide(question).isPlain else { return false }
        question.names += others
        return others.isEmpty || decide(question).reason != .deniedByRule
    }
}
