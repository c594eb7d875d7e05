// fuzz: Model Wire

import Wire

/// libFuzzer's entry: reads the bytes as a log message, and its payload as a packet.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard let message = try? readMessage(start, count) else { return 0 }
    precondition(message.payload.upperBound <= count, "payload out of bounds")
    precondition(message.prefix.upperBound <= count, "prefix out of bounds")
    precondition(!UnsafeBufferPointer(start: start, count: count)[message.prefix].contains(0), "NUL in the prefix")
    _ = try? readPacket(start, message.payload)
    return 0
}

// `try?` around a borrowed span crashes the compiler (6.3.1), so the calls stand in functions of their own.
private func readMessage(_ start: UnsafePointer<UInt8>, _ count: Int) throws -> LogMessage {
    try LogMessage(RawSpan(_unsafeStart: UnsafeRawPointer(start), byteCount: count))
}

private func readPacket(_ start: UnsafePointer<UInt8>, _ range: Range<Int>) throws -> Packet {
    try Packet(RawSpan(_unsafeStart: UnsafeRawPointer(start) + range.lowerBound, byteCount: range.count))
}
