import Model
import Policy
import Testing

struct TextTests {
    @Test(arguments: ["443", "123/udp", "9000-9010", "9000-9010/udp", "any", "any/udp", "any/tcp", "65535"])
    func portsRoundTrip(_ text: String) throws {
        #expect(try PortSpec(text).description == text)
    }

    @Test(arguments: [
        "", "0", "00443", "65536", "-", "1-", "-1", "1-2-3", "443 ", "any-any", "443/TCP", "443/tcp/udp", "١", "+1",
        "0x50", "4294967739",
    ])
    func portsRefused(_ text: String) { #expect(throws: TextError.self) { try PortSpec(text) } }

    @Test func portCoverage() throws {
        let any = try PortSpec("any")
        #expect(any.covers(0, .tcp) && any.covers(65535, .udp) && !any.covers(1, Transport(number: 132)))
        let range = try PortSpec("10-20")
        #expect(range.covers(10, .tcp) && range.covers(20, .tcp) && !range.covers(21, .tcp) && !range.covers(15, .udp))
    }

    @Test(arguments: ["deny", "observe", "hold 1s", "hold 30s", "hold 5m", "hold 1h", "hold 90s"])
    func modesRoundTrip(_ text: String) throws { #expect(try UnknownMode(text).description == text) }

    @Test(arguments: [
        "", "allow", "hold", "hold 0s", "hold 61m", "hold 2h", "hold 30", "hold -1s", "hold 9999h", "Deny",
    ])
    func modesRefused(_ text: String) { #expect(throws: TextError.self) { try UnknownMode(text) } }

    @Test(arguments: ["any", "10.0.0.0/8", "10.0.0.1", "fd00::/8", "::1", "a.example", "*.a.example"])
    func targetsRoundTrip(_ text: String) throws { #expect(try Target(text).description == text) }

    @Test func targetsAreCanonical() throws {
        #expect(try Target("10.0.0.1/32") == Target("10.0.0.1"))
        #expect(try Target("::ffff:10.0.0.1") == Target("10.0.0.1"))
        #expect(try Target("FD00:0:0::1") == Target("fd00::1"))
        #expect(try Target("A.Example.") == Target("a.example"))
    }

    @Test(arguments: [
        "", "*", "*.", "a.*.example", "**.example", "10.0.0.0/8/8", "10.0.0.0/-1", "10.0.0.0/08x", "::ffff:0:0/96",
        "10.0.0", "10.0.0.0.0", "0x0a.0.0.1", "[::1]", "http://a.example", "a.example:443", "10.0.0.1:443",
        "1.2.3.4x5/8",
    ])
    func targetsRefused(_ text: String) { #expect(throws: TextError.self) { try Target(text) } }

    @Test func wildcards() throws {
        let pattern = try NamePattern("*.hf.co")
        #expect(pattern.matches(try DomainName("a.hf.co")))
        #expect(pattern.matches(try DomainName("a.b.hf.co")))
        #expect(!pattern.matches(try DomainName("hf.co")))
        #expect(!pattern.matches(try DomainName("ahf.co")))
        #expect(!pattern.matches(try DomainName("a.hf.co.example")))
    }

    @Test(arguments: ["a.example:443", "10.0.0.1:53/udp", "[2001:db8::9]:22"])
    func expectationsRoundTrip(_ text: String) throws {
        let read = try Expectation.Subject.read(text)
        let expectation = Expectation(subject: read.subject, port: read.port, transport: read.transport, verdict: .deny)
        #expect(expectation.to == text)
    }

    @Test(arguments: [
        "a.example", "::1:22", "[10.0.0.1]:22", "[a.example]:22", "a.example:any", ":22", "a:1-2", "[::1]22",
    ])
    func expectationsRefused(_ text: String) {
        #expect(throws: TextError.self) { try Expectation.Subject.read(text) }
    }

    @Test(arguments: ["a.example", "[2001:db8::1]", "10.0.0.1"])
    func anExpectationWithoutAPortSaysSo(_ text: String) {
        let error = #expect(throws: TextError.self) { try Expectation.Subject.read(text) }
        #expect(error?.description.hasPrefix("'\(text)' has no port") == true)
    }
}
