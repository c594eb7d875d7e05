import Model
import Wire

extension FlightReader {
    mutating func readTLS(_ stream: RawSpan) -> Progress {
        do throws(TLSError) {
            guard try records.read(stream) else { return .more(candidate: .tls) }
            let message = records.message(in: stream)
            let hello = try TLSClientHello(message)
            var flight = Flight(.tls, hello, in: message, using: cryptography)
            flight.excerpt = Excerpt.text(stream, in: 0..<records.offset)
            return .done(flight)
        } catch {
            // A first byte alone makes no TLS.
            var flight = Flight(Application.ofStream(stream), excerptOf: stream)
            if flight.application == .tls { flight.flaw = error.description }
            return .done(flight)
        }
    }
}

extension Flight {
    /// How many protocols of a hello are kept.
    private static let protocolLimit = 16

    /// What a ClientHello says, that came over TCP (`tls`) or in QUIC; `message` is what it was read from.
    init(
        _ application: Application,
        _ hello: TLSClientHello,
        in message: RawSpan,
        using cryptography: any Cryptography,
    ) {
        self.init(application)
        serverName = Self.serverName(of: hello, in: message)
        var protocols = hello.protocols
        while alpn.count < Self.protocolLimit, let name = protocols.next(in: message) {
            alpn.append(Excerpt.text(message, in: name))
        }
        ja4 = hello.ja4(in: message, over: application == .quic ? .udp : .tcp, using: cryptography)
    }

    private static func serverName(of hello: TLSClientHello, in message: RawSpan) -> ServerName {
        // Whether it is real or a pretence (GREASE ECH) cannot be told from outside, which is what the pretence is for.
        guard !hello.hasEncryptedHello, !hello.hasEncryptedName else { return .encrypted }
        switch hello.serverName(in: message) {
        case .absent: return .absent
        case .name(let name): return .name(name)
        case .unreadable(let range): return .unreadable(Excerpt.text(message, in: range))
        }
    }
}
