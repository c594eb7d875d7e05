import Model
package import Wire

extension StreamReassembler {
    /// Takes the segment that a packet of this connection and direction carries; `bytes` are what the packet was read from.
    ///
    /// A SYN may have a payload (TCP Fast Open, RFC 7413): its first byte is the stream's. Beyond that a payload comes with ACK
    /// and without SYN and RST: else a peer passes over it, and what is judged here would not be what is read there. FIN makes no
    /// difference. A packet without payload is `known`: there is nothing to judge.
    package mutating func take(_ packet: Packet, in bytes: RawSpan) -> Outcome {
        guard !packet.isFragment else { return .refused(.incomplete) }
        guard packet.transport == .tcp, let flags = packet.tcpFlags else { return .refused(.transport) }
        guard !packet.payload.isEmpty || packet.isTruncated else { return .known }
        guard !flags.contains(.urg) else { return .refused(.urgent) }
        guard let sequence = sequence(of: packet, flags) else { return .refused(.flags) }
        // A packet cut off by the capture is whole as far as the bytes that are kept.
        guard !packet.isTruncated || packet.payload.count >= Self.byteLimit else { return .refused(.incomplete) }
        guard bytes.holds(packet.payload.count, at: packet.payload.lowerBound) else { return .refused(.incomplete) }
        return take(sequence: sequence, payload: bytes.extracting(packet.payload))
    }

    /// The sequence number of the first byte of payload; nil when the control bits forbid one.
    private func sequence(of packet: Packet, _ flags: TCPFlags) -> UInt32? {
        guard !flags.contains(.rst) else { return nil }
        // The SYN has a sequence number of its own, before the payload's.
        if flags.contains(.syn) { return flags.contains(.ack) || packet.tcpSequence != initial ? nil : initial &+ 1 }
        return flags.contains(.ack) ? packet.tcpSequence : nil
    }
}
