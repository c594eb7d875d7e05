import Model
import Testing

@testable import Wire

/// What the reader says of packets written by hand.
@Suite("Packet, IPv4")
struct PacketTests {
    private func read(_ bytes: [UInt8]) throws -> Packet { try Packet(bytes.raw) }

    @Test("a SYN")
    func readsSYN() throws {
        let packet = try read(Packets.synV4)
        #expect(packet.isIPv4)
        #expect(packet.source == IPAddress("10.0.0.1"))
        #expect(packet.destination == IPAddress("203.0.113.9"))
        #expect(packet.transport == .tcp)
        #expect(packet.sourcePort == 40000)
        #expect(packet.destinationPort == 22)
        #expect(packet.tcpFlags == .syn)
        #expect(packet.tcpSequence == 100)
        #expect(packet.payload == 44..<44)
        #expect(packet.fragment == .whole)
        #expect(!packet.isSourceRouted)
        #expect(!packet.isTruncated)
        #expect(packet.icmpType == nil)
    }

    @Test("options of the header are stepped over")
    func readsOptions() throws {
        let packet = try read(Packets.dataV4)
        #expect(packet.destinationPort == 443)
        #expect(packet.tcpFlags == [.psh, .ack])
        #expect(packet.payload.lowerBound == 44)
        #expect(packet.payload.count == 4)
        #expect(!packet.isSourceRouted)
    }

    @Test("a datagram")
    func readsUDP() throws {
        let packet = try read(Packets.udpV4)
        #expect(packet.transport == .udp)
        #expect(packet.sourcePort == 5353)
        #expect(packet.destinationPort == 53)
        #expect(packet.payload == 28..<33)
        #expect(packet.tcpFlags == nil)
    }

    @Test("an echo request and a transport without ports")
    func readsOthers() throws {
        let echo = try read(Packets.echoV4)
        #expect(echo.transport == Transport(number: 1))
        #expect(echo.icmpType == 8)
        #expect(echo.icmpCode == 0)
        #expect(echo.payload == 20..<28)
        let gre = try read(Packets.greV4)
        #expect(gre.transport == Transport(number: 47))
        #expect(gre.destinationPort == 0)
        #expect(gre.icmpType == nil)
        #expect(gre.payload == 20..<24)
        // ICMPv6 inside IPv4 is no ICMP.
        #expect(try read(Packets.echoV4.with([58], at: 9)).icmpType == nil)
    }

    @Test("padding behind the total length is left out")
    func leavesPaddingOut() throws {
        #expect(try read(Packets.udpV4 + [1, 2, 3]).payload == 28..<33)
        #expect(try read(Packets.dataV4 + [1, 2, 3]).payload == 44..<48)
    }

    @Test("what UDP does not count is not its payload")
    func leavesSurplusOut() throws {
        #expect(try read(Packets.udpV4.with([0, 9], at: 24)).payload == 28..<29)
    }

    @Test("a total length of zero ends where the bytes do")
    func readsBigSegments() throws {
        let packet = try read(Packets.dataV4.with([0, 0], at: 2) + [1, 2, 3])
        #expect(packet.payload == 44..<51)
        #expect(!packet.isTruncated)
    }

    @Test("a capture that ends in the payload is read")
    func readsCutCaptures() throws {
        let packet = try read(Array(Packets.udpV4.dropLast(3)))
        #expect(packet.isTruncated)
        #expect(packet.destinationPort == 53)
        #expect(packet.payload == 28..<30)
        // Even one that ends in the options of TCP: ports and flags are there.
        let syn = try read(Array(Packets.synV4.dropLast(2)))
        #expect(syn.isTruncated)
        #expect(syn.payload == 42..<42)
    }

    @Test("the first fragment has ports, later ones none")
    func readsFragments() throws {
        let first = try read(Packets.udpV4.with([0x20, 0], at: 6).with([5, 0], at: 24))
        #expect(first.fragment == .first)
        #expect(first.destinationPort == 53)
        #expect(first.payload == 28..<33)
        let later = try read(Packets.synV4.with([0x20, 1], at: 6))
        #expect(later.fragment == .later)
        #expect(later.transport == .tcp)
        #expect(later.sourcePort == 0)
        #expect(later.destinationPort == 0)
        #expect(later.tcpFlags == nil)
        #expect(later.payload == 20..<44)
        let last = try read(Packets.synV4.with([0, 1], at: 6))
        #expect(last.fragment == .later)
    }

    @Test("a first fragment that cuts the TCP header short is refused")
    func refusesTinyFragments() {
        let tiny = Array(Packets.synV4.with([0x20, 0], at: 6).with([0, 28], at: 2).prefix(28))
        #expect(throws: PacketError.length) { try read(tiny) }
    }

    @Test("source routes are told", arguments: [UInt8(131), 137])
    func tellsSourceRoutes(_ kind: UInt8) throws {
        #expect(try read(Packets.dataV4.with([kind, 3, 4, 0], at: 20)).isSourceRouted)
        #expect(try read(Packets.dataV4.with([1, kind, 3, 4], at: 20)).isSourceRouted)
        // Behind the end of the list it is padding.
        #expect(try !read(Packets.dataV4.with([0, kind, 3, 4], at: 20)).isSourceRouted)
    }

    @Test("impossible headers are refused")
    func refusesNonsense() {
        #expect(throws: PacketError.truncated) { try read([]) }
        #expect(throws: PacketError.version) { try read(Packets.synV4.with([0x55], at: 0)) }
        #expect(throws: PacketError.headerLength) { try read(Packets.synV4.with([0x44], at: 0)) }
        #expect(throws: PacketError.length) { try read(Packets.synV4.with([0, 19], at: 2)) }
        #expect(throws: PacketError.length) { try read(Packets.synV4.with([0, 39], at: 2)) }
        #expect(throws: PacketError.headerLength) { try read(Packets.synV4.with([0x40], at: 32)) }
        #expect(throws: PacketError.headerLength) { try read(Packets.synV4.with([0x70], at: 32)) }
        #expect(throws: PacketError.length) { try read(Packets.udpV4.with([0, 7], at: 24)) }
        #expect(throws: PacketError.length) { try read(Packets.udpV4.with([0, 0], at: 24)) }
        #expect(throws: PacketError.length) { try read(Packets.udpV4.with([0, 14], at: 24)) }
        #expect(throws: PacketError.option) { try read(Packets.dataV4.with([7, 1], at: 20)) }
        #expect(throws: PacketError.option) { try read(Packets.dataV4.with([7, 5], at: 20)) }
        #expect(throws: PacketError.option) { try read(Packets.dataV4.with([1, 1, 1, 7], at: 20)) }
    }
}
