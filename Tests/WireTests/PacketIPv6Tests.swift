import Model
import TestSupport
import Testing

@testable import Wire

/// What the reader says of IPv6 packets and their extension headers.
@Suite("Packet, IPv6")
struct PacketIPv6Tests {
    private func read(_ bytes: [UInt8]) throws -> Packet { try Packet(bytes.raw) }

    /// A UDP datagram to port 53 behind these extension headers, the first of which has the number `first`.
    private func datagram(behind headers: [UInt8], first: UInt8) -> [UInt8] {
        let udp = hex("14e9 0035 000d 0000 68656c6c6f")
        let length = headers.count + udp.count
        let header = Packets.synV6.prefix(40).map(\.self).with([UInt8(length >> 8), UInt8(length & 255), first], at: 4)
        return header + headers + udp
    }

    @Test("a SYN")
    func readsSYN() throws {
        let packet = try read(Packets.synV6)
        #expect(!packet.isIPv4)
        #expect(packet.source == IPAddress("2001:db8::1"))
        #expect(packet.destination == IPAddress("2001:db8::9"))
        #expect(packet.transport == .tcp)
        #expect(packet.destinationPort == 22)
        #expect(packet.tcpFlags == .syn)
        #expect(packet.payload == 60..<60)
    }

    @Test("the transport is found behind every extension header")
    func walksExtensions() throws {
        let packet = try read(Packets.extendedV6)
        #expect(packet.transport == .udp)
        #expect(packet.destinationPort == 53)
        #expect(packet.payload == 104..<109)
        #expect(packet.fragment == .whole)
        #expect(!packet.isSourceRouted)
    }

    @Test("a v4-mapped destination is the IPv4 address it holds")
    func unmapsAddresses() throws {
        let mapped = Packets.synV6.with(hex("00000000000000000000ffff cb007109"), at: 24)
        let packet = try read(mapped)
        #expect(packet.destination == IPAddress("203.0.113.9"))
        #expect(!packet.isIPv4)
    }

    @Test("ICMPv6")
    func readsICMP() throws {
        let packet = try read(Packets.solicitV6)
        #expect(packet.transport == Transport(number: 58))
        #expect(packet.icmpType == 133)
        #expect(packet.icmpCode == 0)
        #expect(try read(Packets.solicitV6.with([1], at: 6)).icmpType == nil)
    }

    @Test("an unfinished routing header is told")
    func tellsSourceRoutes() throws {
        #expect(try read(datagram(behind: hex("11 00 04 01 00000000"), first: 43)).isSourceRouted)
        #expect(try !read(datagram(behind: hex("11 00 04 00 00000000"), first: 43)).isSourceRouted)
    }

    @Test("fragments")
    func readsFragments() throws {
        let first = try read(datagram(behind: hex("11 00 0001 12345678"), first: 44))
        #expect(first.fragment == .first)
        #expect(first.destinationPort == 53)
        let later = try read(datagram(behind: hex("11 00 0008 12345678"), first: 44))
        #expect(later.fragment == .later)
        #expect(later.transport == .udp)
        #expect(later.destinationPort == 0)
        #expect(later.payload == 48..<61)
    }

    @Test("ESP and no next header end the walk", arguments: [UInt8(50), 59])
    func endsTheWalk(_ number: UInt8) throws {
        let packet = try read(datagram(behind: [number, 0, 0, 0, 0, 0, 0, 0], first: 60))
        #expect(packet.transport == Transport(number: number))
        #expect(packet.destinationPort == 0)
        #expect(packet.payload == 48..<61)
    }

    @Test("eight extension headers are read, nine refused")
    func boundsTheWalk() throws {
        let options = hex("3c 00 010400000000")
        let last = hex("11 00 010400000000")
        let eight = Array([[UInt8]](repeating: options, count: 7).joined()) + last
        #expect(try read(datagram(behind: eight, first: 60)).destinationPort == 53)
        #expect(throws: PacketError.tooManyHeaders) { try read(datagram(behind: options + eight, first: 60)) }
    }

    @Test("an extension header longer than the packet is refused")
    func refusesLongHeaders() {
        #expect(throws: PacketError.length) { try read(datagram(behind: hex("11 ff 010400000000"), first: 60)) }
        #expect(throws: PacketError.truncated) { try read(Array(Packets.synV6.prefix(39))) }
        #expect(throws: PacketError.length) { try read(Packets.synV6.with([0, 19], at: 4)) }
    }

    @Test("a payload length of zero ends where the bytes do")
    func readsJumbograms() throws {
        #expect(try read(Packets.synV6.with([0, 0], at: 4) + [1, 2]).payload == 60..<62)
    }
}
