import Coverage
import Model
import Policy
import Testing

@Suite struct PolicyCheckTests {
    private func host(_ workloads: Workload...) throws -> HostFacts {
        var facts = try Hosts.closed()
        facts.policies = .known(try PolicySet(workloads, folder: "/etc/egressd/policies"))
        return facts
    }

    @Test func noPolicyIsOpen() throws {
        let facts = try host()
        #expect(facts.state("policy.files") == .open)
        #expect(facts.state("policy.users") == .absent)
    }

    @Test func aBadPolicyIsSaid() throws {
        var facts = try Hosts.closed()
        facts.policies = .unknown("a.yaml:3:1: unknown key 'port'")
        #expect(facts.check("policy.files")?.detail == "a.yaml:3:1: unknown key 'port'")
        #expect(facts.state("policy.files") == .unknown && facts.state("policy.wide") == .unknown)
        #expect(!CoverageReport(facts).isClosed)
    }

    @Test(arguments: [("allow", Check.State.open), ("observe", .open), ("deny", .enforced)])
    func strangers(_ setting: String, _ state: Check.State) throws {
        var facts = try Hosts.closed()
        facts.daemon = .unreachable("nobody listens there")
        facts.configuration = .known(.init(observesOnly: false, unidentified: setting))
        #expect(facts.state("policy.unidentified") == state)
        #expect(facts.check("policy.unidentified")?.detail.hasSuffix("40 processes now") == true)
    }

    @Test(arguments: [
        ("0.0.0.0/0", Check.State.open), ("10.0.0.0/8", .enforced), ("8.0.0.0/7", .open), ("::/0", .open),
        ("2001::/16", .enforced), ("2000::/3", .open),
    ])
    func wideRules(_ prefix: String, _ state: Check.State) throws {
        let target = Target.prefix(try AddressPrefix(policy: prefix))
        #expect(try host(Hosts.job(to: [target])).state("policy.wide") == state)
        #expect(try host(Hosts.job(to: [.any])).state("policy.wide") == .open)
    }

    @Test func whatAPolicyLeavesOpen() throws {
        let name = Target.name(try NamePattern("*.example.org"))
        #expect(try host(Hosts.job(to: [name])).state("policy.protocols") == .enforced)
        #expect(try host(Hosts.job(to: [name], application: .any)).state("policy.protocols") == .partly)
        #expect(try host(Hosts.job(user: nil)).state("policy.users") == .partly)
        #expect(try host(Hosts.job(unknown: .observe)).state("policy.unknown") == .open)
        let everybody = ListenRule(name: "all", from: [try AddressPrefix(policy: "0.0.0.0/0")], ports: [.any])
        #expect(try host(Hosts.job(listen: [everybody])).state("policy.listen") == .partly)
        let peers = ListenRule(name: "peers", from: [try AddressPrefix(policy: "10.30.0.0/16")], ports: [.any])
        #expect(try host(Hosts.job(listen: [peers])).state("policy.listen") == .enforced)
    }

    @Test func servicesOnLoopback() throws {
        let loopback = Target.prefix(try AddressPrefix(policy: "127.0.0.0/8"))
        var facts = try host(Hosts.job(to: [loopback]))
        #expect(facts.check("doors.loopback")?.detail == "job: rule 'there' reaches port 3128")
        #expect(facts.state("doors.loopback") == .open)
        facts.listeners = .known([Listener(address: .v4(0x7f00_0001), port: 3128, workload: "job")])
        #expect(facts.state("doors.loopback") == .enforced)
        // A wildcard listens on loopback as well; one of IPv6 for IPv4 too.
        for wildcard in [IPAddress.v4(0), .v6(0)] {
            facts.listeners = .known([Listener(address: wildcard, port: 22, workload: nil)])
            #expect(facts.state("doors.loopback") == .open)
        }
        facts.listeners = .known([Listener(address: .v4(0x0a00_0001), port: 22, workload: nil)])
        #expect(facts.state("doors.loopback") == .enforced)
        facts.policies = .known(
            try PolicySet([Hosts.job(to: [loopback], ports: [try PortSpec("443")])]),
        )
        facts.listeners = .known([Listener(address: .v4(0), port: 22, workload: nil)])
        #expect(facts.state("doors.loopback") == .enforced)
    }

    /// A listener, what a rule allows, and whether it is reached by it.
    @Test(arguments: [
        (Listener(address: .v4(0x7f00_0035), port: 53, workload: nil), "127.0.0.53", true),
        (Listener(address: .v4(0x7f00_0035), port: 53, workload: nil), "127.0.0.1", false),
        (Listener(address: .v4(0), port: 22, workload: nil), "127.0.0.53", true),
        (Listener(address: .v6(0), port: 22, workload: nil), "10.30.0.0/16", true),
        (Listener(address: .v4(0x0a1e_0005), port: 22, workload: nil), "10.30.0.0/16", true),
        (Listener(address: .v4(0), port: 22, workload: nil), "10.31.0.0/16", false),
        (Listener(.udp, address: .v4(0), port: 123, workload: nil), "10.30.0.5", true),
    ])
    func servicesOnAddressesOfTheHost(_ listener: Listener, _ target: String, _ isReached: Bool) throws {
        let target = Target.prefix(try AddressPrefix(policy: target))
        var facts = try host(Hosts.job(to: [target]))
        facts.listeners = .known([listener])
        #expect(facts.state("doors.loopback") == (isReached ? .open : .enforced))
        facts.policies = .known(try PolicySet([Hosts.job(to: [target], deny: [target])]))
        #expect(facts.state("doors.loopback") == .enforced, "a deny closes it")
        facts.policies = .known(try PolicySet([Hosts.job(to: [target], ports: [try PortSpec("1-21")])]))
        #expect(facts.state("doors.loopback") == .enforced)
    }

    @Test func aServiceThatTakesDatagramsIsToldAsSuch() throws {
        var facts = try host(Hosts.job(to: [.any]))
        facts.listeners = .known([Listener(.udp, address: .v4(0), port: 123, workload: nil)])
        #expect(facts.check("doors.loopback")?.detail == "job: rule 'there' reaches port 123/udp")
        facts.addresses = .unknown("not permitted")
        #expect(facts.state("doors.loopback") == .unknown)
    }
}
