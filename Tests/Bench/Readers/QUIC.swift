import Crypto
import Model
import Wire

/// Recorded first flights of aioquic, in one datagram and in four: keys, opening, frames, to the whole ClientHello.
func measureQUIC() -> [Row] {
    guard let cryptography = LibCrypto() else { fatalError("libcrypto has not what is needed") }
    return ["aioquic-v1", "aioquic-v1-large"].map { name in
        // The first part is the ClientHello, the others are what was sent.
        let datagrams = Array(parts(capture("../../CryptoTests/Fixtures/\(name).flight")).dropFirst())
        let bytes = datagrams.reduce(0) { $0 + $1.count }
        return Row("quic", "\(name), \(datagrams.count) datagrams", bytes: bytes) { count in
            for _ in 0..<count { readFlight(datagrams, cryptography) }
        }
    }
}

@inline(never)
private func readFlight(_ datagrams: [[UInt8]], _ cryptography: LibCrypto) {
    var flight = QUICFlight(cryptography: cryptography)
    var progress = QUICFlight.Progress.incomplete
    do throws(QUICError) {
        for datagram in datagrams { progress = try flight.take(datagram: datagram.rawBytes) }
    } catch {
        fatalError("\(error)")
    }
    guard case .hello = progress else { fatalError("not whole") }
}

/// The parts of a recorded flight: each behind its length, 16 bits in network byte order.
private func parts(_ bytes: [UInt8]) -> [[UInt8]] {
    var parts: [[UInt8]] = []
    var rest = bytes[...]
    while let high = rest.popFirst(), let low = rest.popFirst() {
        parts.append(Array(rest.prefix(Int(high) << 8 | Int(low))))
        rest = rest.dropFirst(parts[parts.count - 1].count)
    }
    return parts
}
