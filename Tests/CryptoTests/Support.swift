import Glibc
import Wire

/// The bytes of hexadecimal digits; blanks are left out.
func hex(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue).map(UInt8.init)
    precondition(digits.count.isMultiple(of: 2), "half a byte")
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

/// A recorded first flight: the ClientHello that the client wrote, and the datagrams that it sent for it.
struct RecordedFlight {
    let hello: [UInt8]
    let datagrams: [[UInt8]]

    /// Reads `Fixtures/NAME.flight`: each part with its length before it, 16 bits in network byte order.
    init?(_ name: String) {
        let folder = #filePath.split(separator: "/").dropLast().joined(separator: "/")
        guard let file = unsafe fopen("/\(folder)/Fixtures/\(name).flight", "r") else { return nil }
        defer { unsafe fclose(file) }
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
            unsafe count = fread(buffer.baseAddress, 1, buffer.count, file)
        }
        var parts: [[UInt8]] = []
        var rest = bytes[...]
        while let high = rest.popFirst(), let low = rest.popFirst() {
            let count = Int(high) << 8 | Int(low)
            guard rest.count >= count else { return nil }
            parts.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        guard parts.count > 1 else { return nil }
        (hello, datagrams) = (parts[0], Array(parts.dropFirst()))
    }
}

extension QUICFlight {
    // `try?` and `catch` around a borrowed span crash the compiler (6.3.1), so the call stands in a function of its own.
    mutating func take(_ datagram: [UInt8]) throws -> Progress { try take(datagram: datagram.rawBytes) }

    /// What the datagrams are refused for; nil when they are not.
    static func refusal(_ datagrams: [[UInt8]], by cryptography: any Cryptography) -> QUICError? {
        var flight = QUICFlight(cryptography: cryptography)
        do {
            for datagram in datagrams { _ = try flight.take(datagram) }
            return nil
        } catch {
            return error as? QUICError
        }
    }
}
