import Model
import Policy
import Testing

struct DecideTests {
    private func decide(_ workload: Workload, _ to: String, executable: String? = nil, isCertain: Bool = true) throws
        -> Decision
    {
        workload.decide(try Make.question(to, executable: executable, isCertain: isCertain))
    }

    private func allowed(_ rule: String) -> Decision { Decision(verdict: .allow, reason: .rule, rule: rule) }

    private func denied(_ reason: Reason, _ rule: String? = nil) -> Decision {
        Decision(verdict: .deny, reason: reason, rule: rule)
    }

    @Test func nothingIsAllowedWithoutARule() throws {
        #expect(try decide(Make.workload(), "203.0.113.9:22") == denied(.unknownDestination))
    }

    @Test func denyInsideAllow() throws {
        let workload = try Make.workload(
            allow: [Make.rule("storage", to: ["10.20.0.0/16"], ports: ["443", "9000-9010"])],
            deny: [Make.rule("secrets", to: ["10.20.7.0/24"])],
        )
        #expect(try decide(workload, "10.20.6.255:443") == allowed("storage"))
        #expect(try decide(workload, "10.20.7.0:443") == denied(.deniedByRule, "secrets"))
        #expect(try decide(workload, "10.20.7.255:9010") == denied(.deniedByRule, "secrets"))
        #expect(try decide(workload, "10.20.8.0:9010") == allowed("storage"))
        #expect(try decide(workload, "10.20.8.0:9011") == denied(.unknownDestination))
    }

    @Test func denyBeatsAnAllowInsideIt() throws {
        let workload = try Make.workload(
            allow: [Make.rule("one", to: ["10.20.7.1"], ports: ["443"])],
            deny: [Make.rule("all", to: ["10.0.0.0/8"], ports: ["1-1024"])],
        )
        #expect(try decide(workload, "10.20.7.1:443") == denied(.deniedByRule, "all"))
    }

    @Test func denyOfSomePortsLeavesTheOthers() throws {
        let workload = try Make.workload(
            allow: [Make.rule("wide", to: ["10.0.0.0/8"], ports: ["400-500"])],
            deny: [Make.rule("narrow", to: ["10.0.0.0/9"], ports: ["450-600", "410/udp"])],
        )
        #expect(try decide(workload, "10.0.0.1:449") == allowed("wide"))
        #expect(try decide(workload, "10.0.0.1:450") == denied(.deniedByRule, "narrow"))
        #expect(try decide(workload, "10.128.0.1:450") == allowed("wide"))
        #expect(try decide(workload, "10.0.0.1:410") == allowed("wide"))
        #expect(try decide(workload, "10.0.0.1:410/udp") == denied(.deniedByRule, "narrow"))
    }

    @Test func theFirstAllowIsNamed() throws {
        let rules = [
            try Make.rule("first", to: ["10.0.0.0/8"], ports: ["443"]),
            try Make.rule("second", to: ["10.0.0.1"], ports: ["443"]),
        ]
        #expect(try decide(Make.workload(allow: rules), "10.0.0.1:443") == allowed("first"))
        #expect(try decide(Make.workload(allow: rules.reversed()), "10.0.0.1:443") == allowed("second"))
    }

    @Test func transports() throws {
        let workload = try Make.workload(allow: [
            Make.rule("web", to: ["10.0.0.1"], ports: ["443"]),
            Make.rule("time", to: ["10.0.0.1"], ports: ["123/udp"]),
            Make.rule("all", to: ["10.0.0.2"]),
        ])
        #expect(try decide(workload, "10.0.0.1:443") == allowed("web"))
        #expect(try decide(workload, "10.0.0.1:443/udp") == denied(.unknownDestination))
        #expect(try decide(workload, "10.0.0.1:123/udp") == allowed("time"))
        #expect(try decide(workload, "10.0.0.1:123") == denied(.unknownDestination))
        #expect(try decide(workload, "10.0.0.2:9/udp") == allowed("all"))
    }

    @Test(arguments: [1, 2, 33, 41, 47, 50, 58, 132, 136, 253] as [UInt8])
    func transportsWithoutPortsAreNeverAllowed(_ number: UInt8) throws {
        let workload = try Make.workload(allow: [Make.rule("all", to: ["any"])])
        let destination = Destination(address: .v4(0x0a00_0002), port: 0, transport: Transport(number: number))
        #expect(workload.decide(Question(destination: destination)) == denied(.wrongProtocol))
    }

    @Test func familiesAreApart() throws {
        let workload = try Make.workload(
            allow: [Make.rule("six", to: ["fd00:20::/48"]), Make.rule("four", to: ["0.0.0.0/0"])],
            deny: [Make.rule("none", to: ["::/1"])],
        )
        #expect(try decide(workload, "[fd00:20::1]:443") == allowed("six"))
        #expect(try decide(workload, "[fd00:21::1]:443") == denied(.unknownDestination))
        #expect(try decide(workload, "192.0.2.1:443") == allowed("four"))
        #expect(try decide(workload, "[2001:db8::1]:443") == denied(.deniedByRule, "none"))
    }

    @Test func mappedAddressesAreTheirIPv4Address() throws {
        let workload = try Make.workload(
            allow: [Make.rule("all", to: ["any"])],
            deny: [Make.rule("ten", to: ["10.0.0.0/8"])],
        )
        #expect(try decide(workload, "[::ffff:10.1.2.3]:443") == denied(.deniedByRule, "ten"))
        let wire = Destination(address: IPAddress(wire: 0xffff_0a01_0203), port: 443, transport: .tcp)
        #expect(workload.decide(Question(destination: wire)) == denied(.deniedByRule, "ten"))
    }

    @Test(arguments: ["169.254.169.254:80", "168.63.129.16:80", "[fd00:ec2::254]:80", "[::ffff:169.254.169.254]:80"])
    func metadataNeedsARuleThatNamesIt(_ to: String) throws {
        let wide = try Make.workload(allow: [
            Make.rule("all", to: ["any"]), Make.rule("four", to: ["0.0.0.0/0", "::/0", "169.254.169.254/31"]),
        ])
        #expect(try decide(wide, to) == denied(.specialAddress))
        let exact = try Make.workload(allow: [
            Make.rule("metadata", to: ["169.254.169.254/32", "168.63.129.16", "fd00:ec2::254"], ports: ["80"])
        ])
        #expect(try decide(exact, to) == allowed("metadata"))
        #expect(try decide(exact, to.replacing(":80", with: ":81")) == denied(.unknownDestination))
        var denied = exact
        denied.deny = [try Make.rule("none", to: ["any"])]
        #expect(try decide(denied, to).reason == .deniedByRule)
        #expect(wide.deniedSpecialAddresses.count == 3)
        #expect(exact.deniedSpecialAddresses == [])
    }

    @Test func executables() throws {
        let workload = try Make.workload(allow: [
            Make.rule("python", to: ["10.0.0.1"], ports: ["443"], executable: "/usr/bin/python3.11"),
            Make.rule("curl", to: ["10.0.0.0/24"], ports: ["443"], executable: "/usr/bin/curl"),
        ])
        #expect(try decide(workload, "10.0.0.1:443", executable: "/usr/bin/python3.11") == allowed("python"))
        #expect(try decide(workload, "10.0.0.1:443", executable: "/usr/bin/curl") == allowed("curl"))
        let wrong = denied(.wrongExecutable, "python")
        #expect(try decide(workload, "10.0.0.1:443", executable: "/usr/bin/ssh") == wrong)
        #expect(try decide(workload, "10.0.0.1:443") == wrong)
        #expect(try decide(workload, "10.0.0.1:443", executable: "/usr/bin/python3.11", isCertain: false) == wrong)
        #expect(try decide(workload, "10.0.0.1:444", executable: "/usr/bin/curl") == denied(.unknownDestination))
    }

    @Test func executablesAreComparedByteForByte() throws {
        // One text with two spellings for people, two files for the kernel.
        let rule = try Make.rule("cafe", to: ["any"], executable: "/opt/caf\u{e9}")
        let decision = try decide(Make.workload(allow: [rule]), "10.0.0.1:443", executable: "/opt/cafe\u{301}")
        #expect(decision.reason == .wrongExecutable)
    }

    @Test func namesWithoutPinsAllowNothingAndProtocolsMustBeProved() throws {
        let workload = try Make.workload(allow: [
            Make.rule("name", to: ["packages.example.org"], application: .any),
            Make.rule("tls", to: ["10.0.0.1"], application: .tls),
            Make.rule("ssh", to: ["10.0.0.0/24"], application: .ssh),
        ])
        #expect(try decide(workload, "10.0.1.1:443") == denied(.unknownDestination))
        let begun = try decide(workload, "10.0.0.1:443")
        #expect(begun == Decision(verdict: .allow, reason: .rule, rule: "tls", protocols: [.tls, .ssh]))
        #expect(!begun.isPlain)
        #expect(workload.mappable == [])
    }

    @Test func mappableRulesKeepTheirAddressesOnly() throws {
        let plain = try Make.rule("plain", to: ["10.0.0.1"], ports: ["443"])
        let mixed = try Make.rule("mixed", to: ["a.example", "10.0.0.2"])
        let program = try Make.rule("program", to: ["10.0.0.3"], executable: "/bin/sh")
        let workload = try Make.workload(allow: [plain, mixed, program])
        #expect(try workload.mappable == [plain, Make.rule("mixed", to: ["10.0.0.2"])])
    }

    @Test func listen() throws {
        let ten = try #require(AddressPrefix(address: .v4(0x0a1e_0000), length: 16))
        let workload = try Make.workload(listen: [
            ListenRule(name: "peers", from: [ten], ports: [try PortSpec("29500")]),
            ListenRule(name: "dashboard", from: [.allV4, .allV6], ports: [try PortSpec("8080")]),
        ])
        let peer = IPAddress.v4(0x0a1e_0001)
        #expect(workload.admits(peer: peer, port: 29500, transport: .tcp)?.name == "peers")
        #expect(workload.admits(peer: peer, port: 29500, transport: .udp) == nil)
        #expect(workload.admits(peer: .v4(0x0a1f_0001), port: 29500, transport: .tcp) == nil)
        #expect(workload.admits(peer: .v6(1 << 100), port: 8080, transport: .tcp)?.name == "dashboard")
        #expect(workload.admits(peer: peer, port: 0, transport: Transport(number: 1)) == nil)
    }
}
