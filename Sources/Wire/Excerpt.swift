/// Foreign bytes as a person can read them, on one line.
package enum Excerpt {
    /// The start of the bytes in at most `limit` characters of visible ASCII and blanks.
    ///
    /// Line feed, carriage return and tab are `\n`, `\r` and `\t`, a backslash is two, and every other byte is `\x` with two
    /// digits. An escape that does not fit whole is left out, and what follows it too.
    package static func text(_ bytes: RawSpan, limit: Int = 64) -> String {
        text(bytes, in: 0..<bytes.byteCount, limit: limit)
    }

    /// The same of a part of the bytes; what lies outside them is left out.
    package static func text(_ bytes: RawSpan, in range: Range<Int>, limit: Int = 64) -> String {
        var text: [UInt8] = []
        for offset in range {
            guard text.count < limit, let byte = bytes.byte(at: offset) else { break }
            let before = text.count
            append(byte, to: &text)
            guard text.count > limit else { continue }
            text.removeLast(text.count - before)
            break
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The same of an array's bytes.
    package static func text(_ bytes: [UInt8], limit: Int = 64) -> String { text(bytes.rawBytes, limit: limit) }

    private static func append(_ byte: UInt8, to text: inout [UInt8]) {
        let backslash = UInt8(ascii: "\\")
        switch byte {
        case UInt8(ascii: "\n"): text += [backslash, UInt8(ascii: "n")]
        case UInt8(ascii: "\r"): text += [backslash, UInt8(ascii: "r")]
        case UInt8(ascii: "\t"): text += [backslash, UInt8(ascii: "t")]
        case backslash: text += [backslash, backslash]
        case 0x20...0x7e: text.append(byte)
        default: text += [backslash, UInt8(ascii: "x"), digit(byte >> 4), digit(byte & 15)]
        }
    }

    private static func digit(_ nibble: UInt8) -> UInt8 {
        nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10
    }
}
