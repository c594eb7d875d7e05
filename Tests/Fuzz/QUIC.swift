// fuzz: Model Wire ../TestSupport/PlainCryptography.swift

import Wire

/// libFuzzer's entry: reads the bytes as a flight, each datagram with its length before it (16 bits, network byte order).
///
/// Each is filled with zeros to the size of a datagram with an Initial, so that few bytes reach the frames.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    var rest = Array(UnsafeBufferPointer(start: start, count: count))[...]
    var flight = QUICFlight(cryptography: PlainCryptography())
    var hello: [UInt8]?
    while let high = rest.popFirst(), let low = rest.popFirst() {
        var datagram = Array(rest.prefix(Int(high) << 8 | Int(low)))
        rest = rest.dropFirst(datagram.count)
        if datagram.count < 1200 { datagram += repeatElement(0, count: 1200 - datagram.count) }
        let mayBegin = flight.version != nil || QUICFlight.mayBegin(datagram.rawBytes)
        guard let progress = try? take(datagram, &flight) else { return 0 }
        precondition(mayBegin, "read, and no beginning")
        guard case .hello(let message) = progress else {
            precondition(hello == nil, "whole, and then not")
            continue
        }
        precondition(hello == nil || hello == message, "two messages")
        precondition(4...16_384 ~= message.count && message[0] == 1, "no ClientHello")
        let length = Int(message[1]) << 16 | Int(message[2]) << 8 | Int(message[3])
        precondition(message.count == 4 + length, "another length")
        hello = message
    }
    return 0
}

// `try?` around a borrowed span crashes the compiler (6.3.1), so the call stands in a function of its own.
private func take(_ datagram: [UInt8], _ flight: inout QUICFlight) throws -> QUICFlight.Progress {
    try flight.take(datagram: datagram.rawBytes)
}
