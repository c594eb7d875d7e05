import Model
import TestSupport
import Testing

@testable import Wire

/// What the readers say of netlink messages written by hand.
@Suite("Netlink messages")
struct MessageTests {
    private func readQueue(_ bytes: [UInt8]) throws -> QueueMessage { try QueueMessage(bytes.raw) }
    private func readLog(_ bytes: [UInt8]) throws -> LogMessage { try LogMessage(bytes.raw) }

    @Test("a queued packet")
    func readsQueued() throws {
        let message = try readQueue(Messages.queue)
        #expect(message.family == 1)
        #expect(message.queue == 8100)
        #expect(message.packetID == 42)
        #expect(message.hook == 3)
        #expect(message.hardwareProtocol == 0x0800)
        #expect(message.mark == 0x5a00_0000)
        #expect(message.inputInterface == 0)
        #expect(message.outputInterface == 3)
        #expect(message.uid == 1001)
        #expect(message.gid == 1002)
        #expect(message.packetInfo == 1)
        #expect(message.connectionInfo == 2)
        #expect(message.capturedLength == 0xffff)
        #expect(message.time == WallTime(microseconds: 1_763_757_824_001_000))
        #expect(Array(Messages.queue[message.payload]) == Packets.synV4)
    }

    @Test("a logged packet")
    func readsLogged() throws {
        let message = try readLog(Messages.log)
        #expect(message.family == 1)
        #expect(message.group == 9)
        #expect(message.hook == 3)
        #expect(message.hardwareProtocol == 0x0800)
        #expect(message.mark == 0x70300)
        #expect(message.outputInterface == 3)
        #expect(message.uid == 1001)
        #expect(message.gid == 1002)
        #expect(message.sequence == 17)
        #expect(message.time == WallTime(microseconds: 1_763_757_824_001_000))
        #expect(String(decoding: Messages.log[message.prefix], as: UTF8.self) == "denied")
        #expect(Array(Messages.log[message.payload]) == Packets.udpV4)
    }

    @Test("what is not there stays out")
    func leavesAbsentOut() throws {
        let queued = try readQueue(hex("02 00 0001") + Messages.attribute(1, hex("00000001 86dd 01")))
        #expect(queued.uid == nil)
        #expect(queued.gid == nil)
        #expect(queued.time == nil)
        #expect(queued.mark == 0)
        #expect(queued.capturedLength == nil)
        #expect(queued.payload.isEmpty)
        let logged = try readLog(hex("02 00 0001") + Messages.attribute(1, hex("86dd 01 00")))
        #expect(logged.uid == nil)
        #expect(logged.prefix.isEmpty)
        #expect(logged.payload.isEmpty)
    }

    @Test("a time that cannot be written down is none")
    func refusesTimes() throws {
        let header = hex("01 00 0001") + Messages.attribute(1, hex("00000001 0800 03"))
        #expect(try readQueue(header + Messages.attribute(4, hex("ffffffffffffffff 0000000000000000"))).time == nil)
        #expect(try readQueue(header + Messages.attribute(4, hex("0000000000000001 ffffffffffffffff"))).time == nil)
    }

    @Test("impossible messages are refused")
    func refusesNonsense() {
        let header = hex("01 00 0001")
        let packet = Messages.attribute(1, hex("00000001 0800 03"))
        #expect(throws: MessageError.truncated) { try readQueue([]) }
        #expect(throws: MessageError.missingAttribute(1)) { try readQueue(header) }
        #expect(throws: MessageError.missingAttribute(1)) { try readLog(header) }
        #expect(throws: MessageError.shortAttribute(1)) {
            try readQueue(header + Messages.attribute(1, [0, 0, 0, 1, 8, 0]))
        }
        #expect(throws: MessageError.shortAttribute(16)) {
            try readQueue(header + packet + Messages.attribute(16, [1, 2, 3]))
        }
        #expect(throws: MessageError.length) { try readQueue(header + packet + Messages.host(UInt32(3))) }
        #expect(throws: MessageError.length) {
            try readQueue(header + packet + Messages.host(UInt16(9)) + [10, 0, 1, 2])
        }
        #expect(throws: MessageError.truncated) { try readQueue(header + packet + [4, 0]) }
    }

    @Test("a datagram is walked message by message")
    func walksMessages() throws {
        let bytes = Messages.datagram
        var walk = NetlinkMessages()
        let first = try #require(try walk.next(in: bytes.raw))
        #expect(first.type == 0x0300)
        #expect(first.flags == 0)
        #expect(first.sequence == 7)
        #expect(first.portID == 4711)
        #expect(Array(bytes[first.payload]) == Messages.queue)
        let second = try #require(try walk.next(in: bytes.raw))
        #expect(second.type == 0x0400)
        #expect(Array(bytes[second.payload]) == Messages.log)
        #expect(try walk.next(in: bytes.raw) == nil)
    }

    @Test("a length that does not fit ends the walk")
    func endsTheWalk() throws {
        for length in [UInt32(0), 15, UInt32(Messages.log.count + 17), .max] {
            let bytes =
                Messages.message(type: 1, [1, 2, 3, 4])
                + Messages.message(type: 2, Messages.log)
                .with(Messages.host(length), at: 0)
            var walk = NetlinkMessages()
            #expect(try walk.next(in: bytes.raw)?.type == 1)
            #expect(throws: MessageError.length) { try walk.next(in: bytes.raw) }
            #expect(try walk.next(in: bytes.raw) == nil)
        }
        var walk = NetlinkMessages()
        let stump: [UInt8] = [16, 0, 0, 0]
        #expect(throws: MessageError.truncated) { try walk.next(in: stump.raw) }
    }
}
