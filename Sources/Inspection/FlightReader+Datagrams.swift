import Model
import Wire

extension FlightReader {
    /// Reads the next datagram of a flow over UDP: all of its payload.
    ///
    /// `done` at once for a first one that is not QUIC's, and for what more than `datagramLimit` would be needed.
    package mutating func read(datagram: RawSpan) -> Progress {
        var reader = datagrams ?? DatagramReader(first: datagram, cryptography)
        // The flight is taken out while it changes, so that nothing is copied.
        datagrams = nil
        let progress = reader.read(datagram, cryptography)
        datagrams = reader
        return progress
    }

    /// What can be said of a flow of datagrams for which nobody waits any longer; never without a flaw.
    package func giveUpOnDatagrams() -> Flight {
        guard let datagrams else { return Flight(.unknown, flaw: "nothing was sent") }
        return datagrams.flight(flaw: "the first flight is not whole")
    }
}

/// A flow of datagrams of which the first came.
struct DatagramReader: Sendable {
    private var quic: QUICFlight
    private var count = 0
    private let application: Application
    private let excerpt: String

    init(first: RawSpan, _ cryptography: any Cryptography) {
        quic = QUICFlight(cryptography: cryptography)
        application = Application.ofDatagram(first)
        excerpt = Excerpt.text(first)
    }

    mutating func read(_ datagram: RawSpan, _ cryptography: any Cryptography) -> FlightReader.Progress {
        guard application == .quic else { return .done(flight(flaw: nil)) }
        count += 1
        do throws(QUICError) {
            switch try quic.take(datagram: datagram) {
            case .hello(let message): return .done(hello(message, cryptography))
            case .incomplete where count < FlightReader.datagramLimit: return .more(candidate: .quic)
            case .incomplete: return .done(flight(flaw: "a first flight of more than \(count) datagrams"))
            }
        } catch {
            return .done(flight(flaw: error.description))
        }
    }

    func flight(flaw: String?) -> Flight {
        var flight = Flight(application)
        flight.flaw = flaw
        flight.excerpt = excerpt
        return flight
    }

    private func hello(_ message: [UInt8], _ cryptography: any Cryptography) -> Flight {
        do throws(TLSError) {
            let hello = try TLSClientHello(message.rawBytes)
            var flight = Flight(.quic, hello, in: message.rawBytes, using: cryptography)
            flight.excerpt = excerpt
            return flight
        } catch {
            return flight(flaw: error.description)
        }
    }
}
