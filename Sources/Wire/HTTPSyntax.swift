extension UInt8 {
    /// Whether it may stand in a token (RFC 9110 §5.6.2): methods and names of fields.
    var isHTTPToken: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        // ! # $ % & ' * + - . ^ _ ` | ~
        case 0x21, 0x23...0x27, 0x2a, 0x2b, 0x2d, 0x2e, 0x5e...0x60, 0x7c, 0x7e: true
        default: false
        }
    }

    /// Whether it may stand in the value of a field (RFC 9110 §5.5): visible, blank, tab, or not ASCII.
    var isHTTPValueByte: Bool { self >= 0x20 && self != 0x7f || self == 0x09 }

    /// Whether it may stand in a scheme (RFC 3986 §3.1); what its first may be does not matter here.
    var isSchemeByte: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    var isHTTPBlank: Bool { self == UInt8(ascii: " ") || self == UInt8(ascii: "\t") }
}

extension [UInt8] {
    /// Whether these are 1...19 digits.
    var isNumber: Bool { rawBytes.isNumber(0..<count) }
}

extension RawSpan {
    /// Whether all of the text stands at the offset; with `anyCase`, the text being lower case, also in upper case.
    func matches(_ text: String, at offset: Int, anyCase: Bool = false) -> Bool {
        holds(text.utf8.count, at: offset) && startsLike(text, at: offset, anyCase: anyCase)
    }

    /// Whether what is there at the offset is the text or a start of it, which may be empty.
    func startsLike(_ text: String, at offset: Int, anyCase: Bool = false) -> Bool {
        var place = offset
        for expected in text.utf8 {
            guard var byte = byte(at: place) else { return true }
            if anyCase, (0x41...0x5a).contains(byte) { byte |= 0x20 }
            guard byte == expected else { return false }
            place += 1
        }
        return true
    }

    /// The range without blanks and tabs at both ends.
    func trimmed(_ range: Range<Int>) -> Range<Int> {
        var start = range.lowerBound
        var end = range.upperBound
        while start < end, byte(at: start)?.isHTTPBlank == true { start += 1 }
        while start < end, byte(at: end - 1)?.isHTTPBlank == true { end -= 1 }
        return start..<end
    }

    /// Whether the range holds 1...19 digits.
    func isNumber(_ range: Range<Int>) -> Bool {
        guard (1...19).contains(range.count) else { return false }
        for offset in range {
            guard let byte = byte(at: offset), (0x30...0x39).contains(byte) else { return false }
        }
        return true
    }

    /// Whether two ranges hold the same bytes.
    func equal(_ left: Range<Int>, _ right: Range<Int>) -> Bool {
        guard left.count == right.count else { return false }
        for place in 0..<left.count {
            guard byte(at: left.lowerBound + place) == byte(at: right.lowerBound + place) else { return false }
        }
        return true
    }
}
