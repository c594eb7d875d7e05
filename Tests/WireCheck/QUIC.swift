import Crypto
import Model
import Wire

private let cryptography = LibCrypto()

/// What the reader says of a flight: the ClientHello, that it is not whole, or why it is none.
///
/// The datagrams stand behind one another, each behind its length of 16 bits in network byte order.
func describeQUIC(_ input: [UInt8]) -> JSON {
    guard let cryptography else { return ["error": "libcrypto lacks an algorithm"] }
    var flight = QUICFlight(cryptography: cryptography)
    var rest = input[...]
    var hello: [UInt8]?
    while let high = rest.popFirst(), let low = rest.popFirst() {
        let datagram = Array(rest.prefix(Int(high) << 8 | Int(low)))
        rest = rest.dropFirst(datagram.count)
        let isFirst = flight.version == nil
        let mayBegin = QUICFlight.mayBegin(datagram.rawBytes)
        do throws(QUICError) {
            if case .hello(let message) = try flight.take(datagram: datagram.rawBytes) { hello = message }
        } catch {
            return ["error": .string(error.description)]
        }
        if isFirst, !mayBegin { return ["error": "read, and no beginning"] }
    }
    return [
        "version": flight.version.map { number($0.rawValue) } ?? .null,
        "destination": hex(flight.destination),
        "source": hex(flight.source),
        "hello": hello.map { hex($0) } ?? .null,
    ]
}
