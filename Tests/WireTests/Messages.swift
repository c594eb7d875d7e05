import TestSupport

/// Netlink messages written by hand, in the byte order of this machine where netlink uses it.
enum Messages {
    /// The bytes of a number in the byte order of this machine.
    static func host<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
        let little = stride(from: 0, to: Value.bitWidth, by: 8).map { UInt8(truncatingIfNeeded: value >> Value($0)) }
        return value.littleEndian == value ? little : little.reversed()
    }

    /// An attribute with its padding.
    static func attribute(_ type: UInt16, _ value: [UInt8]) -> [UInt8] {
        let padding = [UInt8](repeating: 0, count: -value.count & 3)
        return host(UInt16(value.count + 4)) + host(type) + value + padding
    }

    /// A message with its header and padding.
    static func message(type: UInt16, _ payload: [UInt8]) -> [UInt8] {
        let padding = [UInt8](repeating: 0, count: -payload.count & 3)
        return host(UInt32(payload.count + 16)) + host(type) + host(UInt16(0)) + host(UInt32(7)) + host(UInt32(4711))
            + payload + padding
    }

    // nft add rule inet t output meta mark set 0x5a000000 queue num 8100
    /// What the kernel sends for that rule and a SYN of uid 1001.
    static let queue =
        hex("01 00 1fa4") + attribute(1, hex("0000002a 0800 03")) + attribute(6, hex("00000003"))
        + attribute(3, hex("5a000000")) + attribute(4, hex("000000006920cf00 00000000000003e8"))
        + attribute(14, hex("00000001")) + attribute(16, hex("000003e9")) + attribute(17, hex("000003ea"))
        + attribute(12, hex("00000002")) + attribute(13, hex("0000ffff")) + attribute(0x8000 | 11, attribute(1, [9]))
        + attribute(10, Packets.synV4)

    // nft add rule inet t output log prefix "denied" group 9
    /// What the kernel sends for that rule and a datagram of uid 1001.
    static let log =
        hex("01 00 0009") + attribute(1, hex("0800 03 00")) + attribute(10, Array("denied".utf8) + [0])
        + attribute(5, hex("00000003")) + attribute(2, hex("00070300")) + attribute(11, hex("000003e9"))
        + attribute(14, hex("000003ea")) + attribute(3, hex("000000006920cf00 00000000000003e8"))
        + attribute(12, hex("00000011")) + attribute(9, Packets.udpV4)

    /// One `recv` with both.
    static let datagram = message(type: 0x0300, queue) + message(type: 0x0400, log)
}
