import Testing

@testable import Wire

/// What the reader says of datagrams and packets built by hand.
@Suite("QUIC first flights")
struct QUICFlightTests {
    private let hello = QUICBytes.message([UInt8](repeating: 7, count: 60))

    private func refusal(of header: QUICBytes.Header) -> QUICError? {
        QUICFlight.refusal(QUICBytes.datagram(header.packet(QUICBytes.crypto(0, hello))))
    }

    @Test("a ClientHello in one packet, of both versions", arguments: [(QUICVersion.one, 0 as UInt8), (.two, 1)])
    func readsOne(_ version: QUICVersion, _ type: UInt8) throws {
        let packet = QUICBytes.Header(type: type, version: version.rawValue).packet(QUICBytes.crypto(0, hello))
        var flight = QUICFlight()
        #expect(try flight.take(QUICBytes.datagram(packet)) == .hello(hello))
        #expect(flight.version == version)
        #expect(flight.destination == Array(1...8))
        #expect(flight.source == [9, 9])
    }

    @Test("ids of every length that may be, and a token")
    func readsHeaders() throws {
        for count in 8...20 {
            for other in [0, 1, 20] {
                let header = QUICBytes.Header(
                    destination: [UInt8](repeating: 1, count: count),
                    source: [UInt8](repeating: 2, count: other),
                    token: [UInt8](repeating: 3, count: 100),
                    numberSize: count % 4 + 1,
                )
                #expect(refusal(of: header) == nil)
            }
        }
    }

    @Test("ids of lengths that may not be")
    func refusesIDs() {
        for count in [0, 1, 7, 21, 255] {
            #expect(refusal(of: .init(destination: [UInt8](repeating: 1, count: count))) == .connectionID)
        }
        #expect(refusal(of: .init(source: [UInt8](repeating: 1, count: 21))) == .connectionID)
    }

    @Test("versions that are not read", arguments: [0, 2, 0xff00_001d, 0x1a2a_3a4a, 0x6b33_43ce, .max] as [UInt32])
    func refusesVersions(_ version: UInt32) {
        #expect(refusal(of: .init(version: version)) == .unknownVersion(version))
    }

    @Test("a flight begins with an Initial", arguments: [QUICVersion.one, .two])
    func refusesOtherPackets(_ version: QUICVersion) {
        let initial: UInt8 = version == .one ? 0 : 1
        for type: UInt8 in 0...3 where type != initial {
            #expect(refusal(of: .init(type: type, version: version.rawValue, token: nil)) == .packetType)
        }
    }

    @Test("the bits that a long header has")
    func refusesBits() {
        let packet = QUICBytes.initial(QUICBytes.crypto(0, hello))
        #expect(QUICFlight.refusal(QUICBytes.datagram(packet.with([packet[0] & 0x7f], at: 0))) == .header)
        #expect(QUICFlight.refusal(QUICBytes.datagram(packet.with([packet[0] & 0xbf], at: 0))) == .header)
        for reserved: UInt8 in 1...3 { #expect(refusal(of: .init(reserved: reserved)) == .reservedBits) }
    }

    @Test("a packet cut at any length, or longer than the datagram")
    func refusesTruncation() {
        let packet = QUICBytes.initial(QUICBytes.crypto(0, hello))
        for count in packet.indices { #expect(QUICFlight.refusal(Array(packet.prefix(count))) == .truncated) }
        for length in [0, 19, 1200, 1 << 29] as [UInt64] {
            #expect(refusal(of: .init(length: length)) == .truncated, "\(length)")
        }
    }

    @Test("a datagram with an Initial has 1,200 bytes")
    func refusesSmall() {
        let packet = QUICBytes.initial(QUICBytes.crypto(0, hello))
        let datagram = packet + [UInt8](repeating: 0, count: 1200 - packet.count)
        #expect(QUICFlight.refusal(datagram) == nil)
        #expect(QUICFlight.refusal(datagram.dropLast()) == .small)
    }

    @Test("packets that were coalesced")
    func readsCoalesced() throws {
        let halves = [
            QUICBytes.initial(QUICBytes.crypto(0, hello.prefix(20))),
            QUICBytes.initial(QUICBytes.crypto(20, hello.dropFirst(20)), number: 1),
        ]
        #expect(try QUICFlight.progress(QUICBytes.datagram(halves[0], halves[1])) == .hello(hello))
        let early = QUICBytes.Header(type: 1, token: nil).packet([1, 2, 3])
        #expect(try QUICFlight.progress(QUICBytes.datagram(halves[0], early, halves[1])) == .hello(hello))
        // Between the Initials of a flight a client may send early data, in datagrams of any size.
        let last = QUICBytes.datagram(halves[1])
        #expect(try QUICFlight.progress(QUICBytes.datagram(halves[0]), early, last) == .hello(hello))
    }

    @Test("only zeros may stand behind the packets")
    func refusesTrailing() {
        let datagram = QUICBytes.datagram(QUICBytes.initial(QUICBytes.crypto(0, hello)))
        for (offset, byte): (Int, UInt8) in [(1199, 1), (1190, 0x7f), (400, 0x40)] {
            #expect(QUICFlight.refusal(datagram.with([byte], at: offset)) == .trailing)
        }
        #expect(QUICFlight.refusal(datagram + [0x80]) == .trailing)
    }

    @Test("what nobody can send before a server answers", arguments: [2, 3] as [UInt8])
    func refusesLaterPackets(_ type: UInt8) {
        let first = QUICBytes.initial(QUICBytes.crypto(0, hello.prefix(20)))
        let packet = QUICBytes.Header(type: type, token: nil).packet([1, 2, 3])
        #expect(QUICFlight.refusal(QUICBytes.datagram(first, packet)) == .packetType)
        #expect(QUICFlight.refusal(QUICBytes.datagram(first), packet) == .packetType)
    }

    @Test("a packet of another connection", arguments: [0, 1] as [UInt8])
    func refusesOthers(_ type: UInt8) {
        let first = QUICBytes.initial(QUICBytes.crypto(0, hello.prefix(20)))
        let others: [QUICBytes.Header] = [
            .init(type: type, destination: Array(1...9), number: 1),
            .init(type: type, destination: Array(2...9), number: 1),
            .init(type: type, source: [9, 8], number: 1),
            .init(type: type, source: [], number: 1),
            .init(type: type + 1, version: 0x6b33_43cf, number: 1),
        ]
        for other in others {
            var other = other
            if type == 1 { other.token = nil }
            let packet = other.packet(QUICBytes.crypto(20, hello.dropFirst(20)))
            #expect(QUICFlight.refusal(QUICBytes.datagram(first), QUICBytes.datagram(packet)) == .otherConnection)
            #expect(QUICFlight.refusal(QUICBytes.datagram(first, packet)) == .otherConnection)
        }
    }

    @Test("a packet number that was there, whatever the frames")
    func refusesNumbers() {
        func datagram(_ number: UInt32) -> [UInt8] {
            QUICBytes.datagram(QUICBytes.initial(QUICBytes.crypto(0, []), number: number))
        }
        #expect(QUICFlight.refusal(datagram(0), datagram(0)) == .packetNumber)
        #expect(QUICFlight.refusal(datagram(5), datagram(9), datagram(5)) == .packetNumber)
        #expect(QUICFlight.refusal(datagram(5), datagram(9), datagram(4), datagram(70)) == nil)
        #expect(QUICFlight.refusal(datagram(100), datagram(37)) == nil)
        #expect(QUICFlight.refusal(datagram(100), datagram(36)) == .packetNumber)
    }

    @Test("packet numbers are told from their last bytes (RFC 9000 A.3)")
    func decodesNumbers() {
        #expect(QUICKeys.number(0x9b32, size: 2, expecting: 0xa82f_30eb) == 0xa82f_9b32)
        #expect(QUICKeys.number(0xff, size: 1, expecting: 0) == 0xff)
        #expect(QUICKeys.number(0, size: 1, expecting: 255) == 256)
        #expect(QUICKeys.number(0xff, size: 1, expecting: 256) == 255)
        #expect(QUICKeys.number(0xff, size: 1, expecting: 0x1_0000) == 0xffff)
        #expect(QUICKeys.number(0, size: 4, expecting: 1 << 62) == 1 << 62)
        #expect(QUICKeys.number(0, size: 1, expecting: (1 << 62) - 1) == (1 << 62) - 256)
    }

    @Test("what may begin a flight")
    func classifies() {
        let datagram = QUICBytes.datagram(QUICBytes.initial(QUICBytes.crypto(0, hello)))
        #expect(QUICFlight.mayBegin(datagram))
        #expect(QUICFlight.mayBegin(Array(datagram.prefix(100))))
        #expect(!QUICFlight.mayBegin(Array(datagram.prefix(16))))
        #expect(!QUICFlight.mayBegin([]))
        for type: UInt8 in 1...3 { #expect(!QUICFlight.mayBegin(QUICBytes.Header(type: type).packet([]))) }
        #expect(QUICFlight.mayBegin(QUICBytes.Header(type: 1, version: 0x6b33_43cf).packet([])))
        let unknown = QUICBytes.datagram(QUICBytes.Header(version: 0x1a2a_3a4a).packet([1]))
        #expect(QUICFlight.mayBegin(unknown))
        #expect(!QUICFlight.mayBegin(unknown.dropLast()))
        #expect(!QUICFlight.mayBegin(QUICBytes.datagram(QUICBytes.Header(version: 0).packet([1]))))
        let short = QUICBytes.Header(version: 0x1a2a_3a4a, destination: [1, 2, 3])
        #expect(!QUICFlight.mayBegin(QUICBytes.datagram(short.packet([1]))))
        #expect(!QUICFlight.mayBegin(datagram.with([datagram[0] & 0xbf], at: 0)))
    }

    @Test("every refusal is a sentence of its own")
    func describes() {
        let errors: [QUICError] = [
            .header, .unknownVersion(0xff), .truncated, .connectionID, .packetType, .otherConnection, .small, .trailing,
            .sealed, .packetNumber, .reservedBits, .empty, .noHandshake, .closed, .frame(2), .frameFormat, .conflict,
            .handshake(2), .tooLong, .tooManyRanges, .excess, .library,
        ]
        #expect(Set(errors.map(\.description)).count == errors.count)
        #expect(QUICError.unknownVersion(0xff).description == "version 0xff is not read")
        #expect(QUICError.small.description == "an Initial in a datagram of less than 1200 bytes")
    }
}
