import Crypto
import Model
import Testing
import Wire

@testable import Inspection

/// What the first datagrams of a flow are said to be.
@Suite("Flight reader, datagrams")
struct DatagramTests {
    private func read(_ datagrams: [[UInt8]]) -> FlightReader.Progress {
        var reader = FlightReader.real
        var progress = FlightReader.Progress.more(candidate: .unknown)
        for datagram in datagrams { progress = reader.read(datagram: datagram.rawBytes) }
        return progress
    }

    private func judged(_ datagrams: [[UInt8]]) -> Flight? {
        guard case .done(let flight) = read(datagrams) else { return nil }
        return flight
    }

    private static let clients = Recorded.datagrams.filter { $0.name.hasPrefix("aioquic") }

    @Test("what a real client sends", arguments: clients)
    func readsClients(_ client: Recorded.Datagrams) throws {
        let flight = try #require(judged(client.datagrams))
        #expect(flight.application == .quic)
        #expect(flight.flaw == nil)
        guard case .name = flight.serverName else {
            Issue.record("\(flight.serverName)")
            return
        }
        #expect(!flight.alpn.isEmpty)
        #expect(flight.ja4?.hasPrefix("q13d") == true)
        #expect(flight.excerpt.count > 10)
    }

    @Test("one of several datagrams is waited for", arguments: clients.filter { $0.datagrams.count > 1 })
    func waits(_ client: Recorded.Datagrams) {
        #expect(read(Array(client.datagrams.prefix(1))) == .more(candidate: .quic))
        var reader = FlightReader.real
        if let first = client.datagrams.first { _ = reader.read(datagram: first.rawBytes) }
        #expect(reader.giveUpOnDatagrams().application == .quic)
        #expect(reader.giveUpOnDatagrams().flaw == "the first flight is not whole")
    }

    @Test("there are clients of each kind")
    func hasClients() {
        #expect(Self.clients.count >= 4)
        #expect(Self.clients.contains { $0.datagrams.count > 1 })
    }

    @Test("an unknown version, and what does not open")
    func tellsFlaws() throws {
        var datagram = try #require(Self.clients.first?.datagrams.first)
        datagram[1199] ^= 1
        #expect(judged([datagram])?.application == .quic)
        #expect(judged([datagram])?.flaw != nil)
        datagram.replaceSubrange(1...4, with: [0xff, 0, 0, 29])
        #expect(judged([datagram])?.application == .quic)
        #expect(judged([datagram])?.flaw?.contains("version") == true)
    }

    @Test("what is not QUIC is named at once")
    func namesOthers() {
        let query: [UInt8] = [
            0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 7, 0x65, 0x78, 0x61, 0x6d, 0x70, 0x6c, 0x65, 0, 0, 1, 0, 1,
        ]
        #expect(judged([query])?.application == .dns)
        #expect(judged([query])?.flaw == nil)
        #expect(judged([[1, 2, 3]])?.application == .unknown)
        #expect(judged([[1, 2, 3]])?.excerpt == #"\x01\x02\x03"#)
        #expect(judged([[]])?.application == .unknown)
    }

    @Test("nothing at all")
    func givesUp() {
        let flight = FlightReader.real.giveUpOnDatagrams()
        #expect(flight.application == .unknown)
        #expect(flight.flaw == "nothing was sent")
    }
}
