import Model
import TestSupport
import Testing

@testable import Wire

/// No bytes make a reader trap, or say what is not so.
@Suite("Readers of foreign bytes")
struct RobustnessTests {
    /// What must hold of every packet that was read; a sentence about what does not, or nil.
    static func flaw(of packet: Packet, in count: Int) -> String? {
        if packet.payload.lowerBound < 20 || packet.payload.upperBound > count { return "payload \(packet.payload)" }
        let hasPorts = packet.transport.hasPorts && packet.fragment != .later
        if !hasPorts, packet.sourcePort != 0 || packet.destinationPort != 0 { return "ports without a transport" }
        if (packet.tcpFlags != nil) != (packet.transport == .tcp && packet.fragment != .later) { return "flags" }
        if packet.isIPv4, !packet.source.isV4 || !packet.destination.isV4 { return "family" }
        return nil
    }

    /// Reads the bytes in every way there is; a sentence about what is wrong, or nil.
    static func flaw(of bytes: [UInt8]) -> String? {
        if let packet = try? bytes.packet(), let flaw = flaw(of: packet, in: bytes.count) { return flaw }
        if let message = try? bytes.queueMessage(), message.payload.upperBound > bytes.count {
            return "queue payload"
        }
        if let message = try? bytes.logMessage() {
            guard max(message.payload.upperBound, message.prefix.upperBound) <= bytes.count else {
                return "log payload"
            }
        }
        var end = 0
        for message in messages(in: bytes) {
            guard message.payload.lowerBound >= end + 16, message.payload.upperBound <= bytes.count else {
                return "message \(message.payload) after \(end)"
            }
            end = message.payload.upperBound
        }
        return nil
    }

    /// The messages up to the first that does not fit.
    static func messages(in bytes: [UInt8]) -> [NetlinkMessage] {
        var walk = NetlinkMessages()
        var messages: [NetlinkMessage] = []
        while let message = try? bytes.next(&walk) { messages.append(message) }
        return messages
    }

    private static let samples = Packets.all + [Messages.queue, Messages.log, Messages.datagram]

    @Test("a packet cut at any length is refused, or read from what is there")
    func survivesTruncation() {
        for bytes in Self.samples {
            for length in 0...bytes.count {
                let flaw = Self.flaw(of: Array(bytes.prefix(length)))
                #expect(flaw == nil, "\(bytes.prefix(length))")
            }
        }
    }

    @Test("a packet cut at any length says the same as the whole, or nothing")
    func truncationChangesNothing() throws {
        for bytes in Packets.all {
            let whole = try bytes.packet()
            for length in 0..<bytes.count {
                guard let cut = try? bytes.prefix(length).map(\.self).packet() else { continue }
                #expect(cut.isTruncated)
                #expect(cut.destination == whole.destination)
                #expect(cut.transport == whole.transport)
                #expect(cut.destinationPort == whole.destinationPort)
                #expect(cut.tcpFlags == whole.tcpFlags)
            }
        }
    }

    @Test("changed bytes never trap")
    func survivesMutation() {
        let seed = SplitMix.seed()
        var random = SplitMix(state: seed)
        for round in 0..<40_000 {
            var bytes = Self.samples[round % Self.samples.count]
            for _ in 0...Int.random(in: 0..<3, using: &random) { bytes = bytes.mutated(using: &random) }
            guard let flaw = Self.flaw(of: bytes) else { continue }
            Issue.record("EGRESSD_SEED=\(seed) round \(round): \(flaw) of \(bytes)")
            return
        }
    }

    @Test("reads outside of the span are nil")
    func boundsReads() {
        let bytes: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
        func read<Value>(_ body: (RawSpan) -> Value) -> Value { body(bytes.raw) }
        #expect(read { $0.byte(at: 0) } == 1)
        #expect(read { $0.network16(at: 1) } == 0x0203)
        #expect(read { $0.network32(at: 12) } == 0x0d0e_0f10)
        #expect(read { $0.network64(at: 0) } == 0x0102_0304_0506_0708)
        #expect(read { $0.network128(at: 0) } == 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10)
        #expect(read { $0.host16(at: 0) }.map(UInt16.init(bigEndian:)) == 0x0102)
        for offset in [-1, Int.min, Int.max, 16, 17] {
            #expect(read { $0.byte(at: offset) } == nil)
            #expect(read { $0.network16(at: offset) } == nil)
        }
        #expect(read { $0.network16(at: 15) } == nil)
        #expect(read { $0.network32(at: 13) } == nil)
        #expect(read { $0.network64(at: 9) } == nil)
        #expect(read { $0.network128(at: 1) } == nil)
        #expect(!read { $0.holds(Int.max, at: 1) })
        #expect(!read { $0.holds(-1, at: 1) })
        #expect(read { $0.holds(0, at: 16) })
    }
}
