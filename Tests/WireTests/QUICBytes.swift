import TestSupport
import Wire

/// Packets as `PlainCryptography` opens them.
enum QUICBytes {
    /// A number of variable length (RFC 9000 §16), in the fewest bytes or in as many as asked for.
    static func number(_ value: UInt64, size: Int? = nil) -> [UInt8] {
        let least = value < 1 << 6 ? 1 : value < 1 << 14 ? 2 : value < 1 << 30 ? 4 : 8
        let size = size ?? least
        let mark = UInt64(size.trailingZeroBitCount) << (8 * size - 2)
        return (0..<size).reversed().map { UInt8(truncatingIfNeeded: (value | mark) >> (8 * $0)) }
    }

    static func crypto(_ offset: UInt64, _ data: some Collection<UInt8>) -> [UInt8] {
        [6] + number(offset) + number(UInt64(data.count)) + data
    }

    /// A handshake message with its header of 4 bytes.
    static func message(_ body: [UInt8], type: UInt8 = 1) -> [UInt8] {
        [type, UInt8(body.count >> 16), UInt8(body.count >> 8 & 255), UInt8(body.count & 255)] + body
    }

    /// A packet with a long header, built from parts that a test may bend.
    struct Header {
        /// Bits 5 and 4 of the first byte.
        var type: UInt8 = 0
        var version: UInt32 = 1
        var destination: [UInt8] = Array(1...8)
        var source: [UInt8] = [9, 9]
        var token: [UInt8]? = []
        var number: UInt32 = 0
        var numberSize = 1
        /// Bits 3 and 2 of the first byte.
        var reserved: UInt8 = 0
        /// What the length says, when it is not the truth.
        var length: UInt64?

        func packet(_ frames: [UInt8]) -> [UInt8] {
            let first = 0xc0 | type << 4 | reserved << 2 | UInt8(numberSize - 1)
            let version = (0..<4).reversed().map { UInt8(truncatingIfNeeded: self.version >> (8 * $0)) }
            let number = (0..<numberSize).reversed().map { UInt8(truncatingIfNeeded: self.number >> (8 * $0)) }
            let rest = number + frames + [UInt8](repeating: 0xee, count: 16)
            return [first] + version + [UInt8(destination.count)] + destination + [UInt8(source.count)] + source
                + (token.map { QUICBytes.number(UInt64($0.count)) + $0 } ?? [])
                + QUICBytes.number(length ?? UInt64(rest.count), size: 4) + rest
        }
    }

    /// An Initial of version 1.
    static func initial(_ frames: [UInt8], number: UInt32 = 0) -> [UInt8] {
        Header(number: number, numberSize: 4).packet(frames)
    }

    /// A datagram of these packets, filled with zeros to the least size.
    static func datagram(_ packets: [UInt8]...) -> [UInt8] {
        let bytes = packets.flatMap(\.self)
        return bytes + [UInt8](repeating: 0, count: max(0, QUICFlight.smallestDatagram - bytes.count))
    }
}

extension QUICFlight {
    init() { self.init(cryptography: PlainCryptography()) }

    // `try?` and `catch` around a borrowed span crash the compiler (6.3.1), so the calls stand in functions of their own.
    mutating func take(_ datagram: [UInt8]) throws -> Progress { try take(datagram: datagram.raw) }

    static func mayBegin(_ datagram: [UInt8]) -> Bool { mayBegin(datagram.raw) }

    /// What is known behind the last of the datagrams.
    static func progress(_ datagrams: [UInt8]...) throws -> Progress {
        var flight = QUICFlight()
        var progress = Progress.incomplete
        for datagram in datagrams { progress = try flight.take(datagram) }
        return progress
    }

    /// What the datagrams are refused for; nil when they are not.
    static func refusal(_ datagrams: [UInt8]...) -> QUICError? {
        var flight = QUICFlight()
        do {
            for datagram in datagrams { _ = try flight.take(datagram) }
            return nil
        } catch {
            return error as? QUICError
        }
    }
}
