/// Why a text is not a JSON value that egressd reads, and where.
package struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The offset of the byte that was refused.
    package let offset: Int
    /// What was wrong with it.
    package let message: String

    package init(offset: Int, message: String) {
        self.offset = offset
        self.message = message
    }

    /// `byte 17: duplicate key 'a'`.
    package var description: String { "byte \(offset): \(message)" }
}

extension JSON: CustomStringConvertible {
    /// The compact text: one line that no terminal takes for a command.
    package var description: String {
        var bytes: [UInt8] = []
        write(into: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends the compact UTF-8 text.
    ///
    /// Whatever could end a line, command a terminal or hide text (control characters, DEL, U+2028, bidirectional and
    /// zero-width marks) is written as `\uXXXX`. A number that is not finite is written as `null`.
    package func write(into bytes: inout [UInt8]) {
        switch self {
        case .null: bytes.append(contentsOf: "null".utf8)
        case .bool(let value): bytes.append(contentsOf: (value ? "true" : "false").utf8)
        case .integer(let value): bytes.append(contentsOf: String(value).utf8)
        case .number(let value):
            // -0.0 equals 0.0, and equal values have one text because it is what they are hashed on.
            bytes.append(contentsOf: (!value.isFinite ? "null" : value.isZero ? "0.0" : "\(value)").utf8)
        case .string(let value): Self.write(value, into: &bytes)
        case .array(let values):
            bytes.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                value.write(into: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                Self.write(member.key, into: &bytes)
                bytes.append(UInt8(ascii: ":"))
                member.value.write(into: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    private static func write(_ text: String, into bytes: inout [UInt8]) {
        let source = text.utf8Span.span
        bytes.append(UInt8(ascii: "\""))
        var index = 0
        while index < source.count {
            let byte = source[index]
            switch byte {
            case UInt8(ascii: "\""): bytes.append(contentsOf: #"\""#.utf8)
            case UInt8(ascii: "\\"): bytes.append(contentsOf: #"\\"#.utf8)
            case 0x0a: bytes.append(contentsOf: #"\n"#.utf8)
            case 0x0d: bytes.append(contentsOf: #"\r"#.utf8)
            case 0x09: bytes.append(contentsOf: #"\t"#.utf8)
            case ..<0x20, 0x7f: escape(UInt16(byte), into: &bytes)
            case 0xc2, 0xd8, 0xe2, 0xef:
                // The only leading bytes of the characters that `isHidden` names.
                let length = byte < 0xe0 ? 2 : 3
                var unit = UInt16(byte) & (length == 2 ? 0x1f : 0x0f)
                for next in 1..<length { unit = unit << 6 | UInt16(source[index + next] & 0x3f) }
                if isHidden(unit) {
                    escape(unit, into: &bytes)
                } else {
                    for next in 0..<length { bytes.append(source[index + next]) }
                }
                index += length
                continue
            default: bytes.append(byte)
            }
            index += 1
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func isHidden(_ unit: UInt16) -> Bool {
        switch unit {
        case 0x80...0x9f, 0x061c, 0x200b...0x200f, 0x2028...0x202e, 0x2060...0x206f, 0xfeff: true
        default: false
        }
    }

    private static func escape(_ unit: UInt16, into bytes: inout [UInt8]) {
        bytes.append(contentsOf: #"\u"#.utf8)
        for shift in [12, 8, 4, 0] as [UInt16] {
            let nibble = UInt8(unit >> shift & 15)
            bytes.append(nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10)
        }
    }
}

extension JSON {
    /// How much text `parse` takes unless told otherwise: 1 MiB.
    package static let defaultLimit = 1 << 20
    /// How many arrays and objects may stand in each other.
    package static let maximumDepth = 64

    /// Reads one JSON value that fills the bytes.
    ///
    /// Strict RFC 8259 in valid UTF-8 without byte order mark. Refused besides: a key given twice, more than
    /// `maximumDepth` levels, more than `limit` bytes, a lone surrogate, an integer outside Int64, a number outside Double.
    package static func parse(_ bytes: [UInt8], limit: Int = defaultLimit) throws(JSONError) -> JSON {
        try parse(bytes.span, limit: limit)
    }

    /// Reads one JSON value that fills the text.
    package static func parse(_ text: String, limit: Int = defaultLimit) throws(JSONError) -> JSON {
        try parse(text.utf8Span.span, limit: limit)
    }

    /// Reads one JSON value that fills the span.
    package static func parse(_ bytes: Span<UInt8>, limit: Int = defaultLimit) throws(JSONError) -> JSON {
        guard bytes.count <= limit else {
            throw JSONError(offset: limit, message: "longer than \(limit) bytes")
        }
        var parser = JSONParser(bytes)
        return try parser.document()
    }
}
