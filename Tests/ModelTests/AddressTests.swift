import Model
import Testing

struct AddressTests {
    @Test(arguments: [
        "0.0.0.0", "255.255.255.255", "10.20.0.1", "::", "::1", "1::", "fd00:20::/48", "2001:db8::9",
        "2001:db8:0:1:1:1:1:1",
        "1:0:0:2::3", "64:ff9b::c000:201", "ff02::1:ff00:1", "1:2:3:4:5:6:7:8",
    ])
    func canonicalTextRoundTrips(_ text: String) throws {
        let address = text.split(separator: "/")[0]
        #expect(try #require(IPAddress(String(address))).description == address)
    }

    @Test(arguments: [
        ("::ffff:10.0.0.1", "10.0.0.1"), ("::ffff:a00:1", "10.0.0.1"), ("0:0:0:0:0:FFFF:0A00:0001", "10.0.0.1"),
        ("FD00:0000:0:0::1", "fd00::1"), ("1:0:0:0:0:0:0:0", "1::"), ("0:0:1::", "0:0:1::"),
        ("64:ff9b::192.0.2.1", "64:ff9b::c000:201"),
        ("1:0:2:0:0:3:0:0", "1:0:2::3:0:0"),
    ])
    func otherSpellingsAreTheSameAddress(_ text: String, _ canonical: String) throws {
        #expect(try #require(IPAddress(text)).description == canonical)
    }

    @Test(arguments: [
        "", ".", ":", ":::", "1", "10.1", "10.0.0", "10.0.0.0.0", "10.0.0.256", "010.0.0.1", "10.0.0.01", "0x7f.0.0.1",
        "0x7f.1",
        "2130706433", "10.0.0.1 ", " 10.0.0.1", "+1.0.0.1", "1..0.0", "١.0.0.1", "[::1]", "::1%eth0", "fe80::1%1",
        "1::2::3",
        "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "12345::", "g::", ":1", "1:",
        "1:2:3:4:5:6:7:",
        "::10.0.0", "::10.0.0.256", "10.0.0.1::", "::1.2.3.4:5", "::ffff:010.0.0.1", "10.0.0.1/32", "::/0",
        "\u{ff11}::",
    ])
    func hostileSpellingsAreNoAddress(_ text: String) { #expect(IPAddress(text) == nil) }

    @Test func randomAddressesRoundTrip() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            let four = IPAddress.v4(UInt32.random(in: .min ... .max, using: &random))
            #expect(IPAddress(four.description) == four)
            // Groups of zeros are what the text form is about.
            var bits: UInt128 = 0
            for _ in 0..<8 { bits = bits << 16 | UInt128(Bool.random(using: &random) ? UInt16.random(in: 1...9) : 0) }
            let six = IPAddress(wire: bits)
            #expect(IPAddress(six.description) == six, "\(bits)")
        }
    }

    @Test func bytesAndOrder() throws {
        #expect(IPAddress.v4(0x0a14_0001).bytes == [10, 20, 0, 1])
        #expect(
            IPAddress.v6(0x20010db8 << 96 | 1).bytes == [0x20, 1, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [1]
        )
        #expect(IPAddress.v4(.max) < .v6(0))
        #expect(IPAddress.v6(1) < .v6(2))
        #expect(
            IPAddress.v4(0x7f00_0001).isLoopback && IPAddress.v4(0x7fff_ffff).isLoopback && IPAddress.v6(1).isLoopback
        )
        #expect(!IPAddress.v4(0x8000_0000).isLoopback && !IPAddress.v6(0).isLoopback)
    }
}
