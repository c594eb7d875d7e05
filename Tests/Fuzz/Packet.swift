// fuzz: Model Wire

import Model
import Wire

/// libFuzzer's entry: reads the bytes as an IP packet, and stops where what was read cannot be.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard let packet = try? readPacket(start, count) else { return 0 }
    precondition(packet.payload.lowerBound >= 20 && packet.payload.upperBound <= count, "payload out of bounds")
    let hasPorts = packet.transport.hasPorts && packet.fragment != .later
    precondition(hasPorts || (packet.sourcePort == 0 && packet.destinationPort == 0), "ports without a transport")
    precondition((packet.tcpFlags != nil) == (hasPorts && packet.transport == .tcp), "flags without TCP")
    precondition(!packet.isIPv4 || (packet.source.isV4 && packet.destination.isV4), "IPv4 with other addresses")
    return 0
}

// `try?` around a borrowed span crashes the compiler (6.3.1), so the call stands in a function of its own.
private func readPacket(_ start: UnsafePointer<UInt8>, _ count: Int) throws -> Packet {
    try Packet(RawSpan(_unsafeStart: UnsafeRawPointer(start), byteCount: count))
}
