import Crypto
import Inspection
import Model
import TestSupport
import Testing
import Wire

/// First flights: recorded from real clients, and written here.
enum Recorded {
    /// What a TCP client sent first.
    struct Stream: Sendable, CustomTestStringConvertible {
        let name: String
        let bytes: [UInt8]

        var testDescription: String { name }
    }

    /// The datagrams that a QUIC client sent first.
    struct Datagrams: Sendable, CustomTestStringConvertible {
        let name: String
        let datagrams: [[UInt8]]

        var testDescription: String { name }
    }

    /// Those of `Fixtures`, the ClientHellos that are kept for the fuzzer, and what is larger than any of them.
    static let streams: [Stream] = {
        let own = Corpus.files(in: "InspectionTests/Fixtures").map { Stream(name: $0.name, bytes: $0.bytes) }
        let hellos = Corpus.files(of: "tls").map { Stream(name: "tls/\($0.name)", bytes: $0.bytes) }
        // What the fuzzer found is no flight of a client.
        return own + built + hellos.filter { FlightReader.flight(of: $0.bytes).isAcceptable }
    }()

    /// A hello larger than an MTU, one in two records, one near the bound, and requests in each manner.
    private static let built = [
        Stream(name: "post-quantum", bytes: Hello(keyShare: 1216).stream),
        Stream(name: "two records", bytes: { Hello.record($0[..<90]) + Hello.record($0[90...]) }(Hello().message)),
        Stream(name: "16,000 bytes", bytes: Hello(more: [(21, 15_700)]).stream),
        Stream(name: "no name", bytes: Hello(name: nil).stream),
        Stream(name: "encrypted", bytes: Hello(more: [(0xfe0d, 200)]).stream),
        Stream(name: "HTTP/1.0", bytes: Array("GET / HTTP/1.0\r\n\r\n".utf8)),
        Stream(name: "SSH", bytes: Array("SSH-2.0-x\n".utf8)),
    ]

    /// Those of the tests of QUIC: behind the ClientHello, each with its length before it.
    static let datagrams: [Datagrams] = Corpus.files(in: "CryptoTests/Fixtures").map { name, bytes in
        var (parts, rest) = ([[UInt8]](), bytes[...])
        while let high = rest.popFirst(), let low = rest.popFirst() {
            let count = Int(high) << 8 | Int(low)
            parts.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        return Datagrams(name: name, datagrams: Array(parts.dropFirst()))
    }
}

extension FlightReader {
    /// One with the cryptography of the product.
    static var real: FlightReader {
        guard let cryptography = LibCrypto() else { preconditionFailure("libcrypto is without its algorithms") }
        return FlightReader(cryptography: cryptography)
    }

    /// What a stream says as a whole.
    static func flight(of stream: [UInt8]) -> Flight {
        var reader = real
        guard case .done(let flight) = reader.read(stream.rawBytes) else { return reader.giveUp(stream.rawBytes) }
        return flight
    }

    /// What a stream's text says as a whole.
    static func flight(of text: String) -> Flight { flight(of: Array(text.utf8)) }
}

extension Flight {
    /// Whether a policy could allow it.
    var isAcceptable: Bool { flaw == nil && [.tls, .http, .ssh, .quic].contains(application) }

    /// The same but for its excerpt.
    var withoutExcerpt: Flight {
        var copy = self
        copy.excerpt = ""
        return copy
    }
}
