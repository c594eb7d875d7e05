import Model
import Testing

struct RangeTests {
    @Test func prefixes() throws {
        let ten = try #require(AddressPrefix(address: .v4(0x0a00_0000), length: 8))
        #expect(ten.last == .v4(0x0aff_ffff))
        #expect(ten.contains(.v4(0x0a00_0000)) && ten.contains(.v4(0x0aff_ffff)))
        #expect(!ten.contains(.v4(0x0b00_0000)) && !ten.contains(.v4(0x09ff_ffff)))
        #expect(!ten.contains(.v6(0x0a00_0000)))
        #expect(ten.description == "10.0.0.0/8")
        #expect(AddressPrefix(.v6(1)).description == "::1")
        #expect(AddressPrefix(.v6(1)).isHost && !ten.isHost)
    }

    @Test func wholeFamilies() {
        #expect(AddressPrefix.allV4.contains(.v4(.max)) && !AddressPrefix.allV4.contains(.v6(.max)))
        #expect(AddressPrefix.allV6.contains(.v6(.max)) && !AddressPrefix.allV6.contains(.v4(0)))
        #expect(AddressPrefix.allV6.last == .v6(.max))
        #expect(AddressPrefix.allV4.description == "0.0.0.0/0")
    }

    @Test(
        arguments: [(0x0a00_0001, 31), (0x0a00_0001, 8), (0x0a00_0000, 33), (0x0a00_0000, -1), (1, 0)]
            as [(UInt32, Int)]
    )
    func prefixesRefused(_ bits: UInt32, _ length: Int) {
        #expect(AddressPrefix(address: .v4(bits), length: length) == nil)
    }

    @Test func prefixesOfSix() throws {
        let prefix = try #require(AddressPrefix(address: .v6(0xfd00_0020 << 96), length: 48))
        #expect(prefix.contains(.v6(0xfd00_0020 << 96 | 0xffff)))
        #expect(!prefix.contains(.v6(0xfd00_0021 << 96)))
        #expect(AddressPrefix(address: .v6(1), length: 127) == nil)
        #expect(AddressPrefix(address: .v6(1), length: 129) == nil)
    }

    @Test func ports() throws {
        #expect(PortRange(2, 1) == nil)
        let range = try #require(PortRange(9000, 9010))
        #expect(range.contains(9000) && range.contains(9010) && !range.contains(8999) && !range.contains(9011))
        #expect(range.count == 11 && PortRange.all.count == 65536 && PortRange(5).count == 1)
        #expect(["\(range)", "\(PortRange(443))", "\(PortRange.all)"] == ["9000-9010", "443", "any"])
    }

    @Test func transports() {
        for number in UInt8.min...UInt8.max {
            let transport = Transport(number: number)
            #expect(Transport(transport.description) == transport)
            #expect(transport.hasPorts == (number == 6 || number == 17))
        }
        #expect(Transport("ip-6") == nil && Transport("TCP") == nil && Transport("ip-256") == nil)
    }

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_795_204_263_123_456, "2026-11-20T19:51:03.123456Z"),
            (4_102_444_799_999_999, "2099-12-31T23:59:59.999999Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
        ] as [(Int64, String)]
    )
    func wallTimes(_ microseconds: Int64, _ text: String) {
        let time = WallTime(microseconds: microseconds)
        #expect(time.description == text)
        #expect(time.short == text.prefix(19).replacing("T", with: " "))
    }
}
