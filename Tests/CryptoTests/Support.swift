import TestSupport
import Wire

/// A recorded first flight: the ClientHello that the client wrote, and the datagrams that it sent for it.
struct RecordedFlight {
    let hello: [UInt8]
    let datagrams: [[UInt8]]

    /// Reads `Fixtures/NAME.flight`: each part with its length before it, 16 bits in network byte order.
    init?(_ name: String) {
        guard let bytes = Files.read("\(Files.tests)/CryptoTests/Fixtures/\(name).flight") else { return nil }
        var parts: [[UInt8]] = []
        var rest = bytes[...]
        while let high = rest.popFirst(), let low = rest.popFirst() {
            let count = Int(high) << 8 | Int(low)
            guard rest.count >= count else { return nil }
            parts.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        guard parts.count > 1 else { return nil }
        (hello, datagrams) = (parts[0], Array(parts.dropFirst()))
    }
}

extension QUICFlight {
    // `try?` and `catch` around a borrowed span crash the compiler (6.3.1), so the call stands in a function of its own.
    mutating func take(_ datagram: [UInt8]) throws -> Progress { try take(datagram: datagram.rawBytes) }

    /// What the datagrams are refused for; nil when they are not.
    static func refusal(_ datagrams: [[UInt8]], by cryptography: any Cryptography) -> QUICError? {
        var flight = QUICFlight(cryptography: cryptography)
        do {
            for datagram in datagrams { _ = try flight.take(datagram) }
            return nil
        } catch {
            return error as? QUICError
        }
    }
}
