/// The identification string that each side of an SSH connection sends first (RFC 4253 §4.2).
///
/// `SSH-2.0-software comments` and CR LF, or LF alone as some send it; at most 255 bytes with its end. Never traps, whatever the
/// bytes are, and allocates nothing.
package struct SSHBanner: Hashable, Sendable {
    package enum Side: Hashable, Sendable {
        /// Sends the string first of all.
        case client
        /// May send other lines before it (§4.2).
        case server
    }

    /// The longest string with its end.
    static let limit = 255
    /// What a server may send before it: lines, and bytes in all.
    static let lineLimit = 32
    static let lineBytesLimit = 8_192

    /// Where the string is in what was read, without its end.
    package let range: Range<Int>
    /// Whether the sender also speaks version 1 (`SSH-1.99-`, §5.1).
    package let isCompatible: Bool

    /// Reads the bytes of a stream from its first on; nil as long as the string is not whole.
    ///
    /// Throws as soon as no further bytes can make it one.
    package static func read(_ bytes: RawSpan, from side: Side) throws(SSHError) -> SSHBanner? {
        var start = 0
        var lines = 0
        while !bytes.startsLike("SSH-", at: start) {
            guard side == .server else { throw .start }
            guard lines < lineLimit else { throw .tooLong }
            guard let next = try endOfLine(bytes, from: start) else { return nil }
            start = next
            lines += 1
        }
        return try string(bytes, at: start)
    }

    /// Whether the bytes, of which there may be none, can still become such a string.
    package static func mayBegin(_ bytes: RawSpan, from side: Side = .client) -> Bool {
        do throws(SSHError) {
            _ = try read(bytes, from: side)
            return true
        } catch {
            return false
        }
    }

    /// The place behind a line that is none; nil when its end is still to come.
    private static func endOfLine(_ bytes: RawSpan, from start: Int) throws(SSHError) -> Int? {
        var offset = start
        while let byte = bytes.byte(at: offset) {
            guard offset < lineBytesLimit else { throw .tooLong }
            guard byte != 0 else { throw .text }
            offset += 1
            if byte == UInt8(ascii: "\n") { return offset }
        }
        return nil
    }

    private static func string(_ bytes: RawSpan, at start: Int) throws(SSHError) -> SSHBanner? {
        let isCompatible = bytes.startsLike("SSH-1.99-", at: start)
        guard isCompatible || bytes.startsLike("SSH-2.0-", at: start) else { throw .version }
        let software = start + (bytes.startsLike("SSH-2.0-", at: start) ? 8 : 9)
        var offset = start
        while let byte = bytes.byte(at: offset), (0x20...0x7e).contains(byte) {
            offset += 1
            guard offset - start < limit else { throw .tooLong }
        }
        guard let last = bytes.byte(at: offset) else { return nil }
        guard offset > software, bytes.byte(at: software) != UInt8(ascii: " ") else { throw .text }
        let isCR = last == UInt8(ascii: "\r")
        guard isCR || last == UInt8(ascii: "\n") else { throw .text }
        if isCR {
            guard offset + 2 - start <= limit else { throw .tooLong }
            guard let feed = bytes.byte(at: offset + 1) else { return nil }
            guard feed == UInt8(ascii: "\n") else { throw .text }
        }
        return SSHBanner(range: start..<offset, isCompatible: isCompatible)
    }
}
