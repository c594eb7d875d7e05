/// Signs of what miners speak to a pool: lines of JSON-RPC without HTTP around them.
enum StratumSigns {
    /// How far they are looked for.
    private static let limit = 4_096

    /// What only miners call, besides all that begins with `mining.`.
    private static let calls: Set<String> = [
        "eth_submitlogin", "eth_submitwork", "eth_submithashrate", "eth_getwork", "getjob", "keepalived",
    ]

    /// What Monero's `login` is called with, besides the login itself.
    private static let companions: Set<String> = ["pass", "agent", "algo", "rigid"]

    /// Whether the bytes are an object or a list of JSON, perhaps cut, that calls what only miners call.
    ///
    /// Strings with escapes are not looked into.
    static func areIn(_ bytes: RawSpan) -> Bool {
        var offset = afterBlanks(bytes, from: 0)
        guard let first = bytes.byte(at: offset), first == UInt8(ascii: "{") || first == UInt8(ascii: "[") else {
            return false
        }
        var keys: Set<String> = []
        var isLogin = false
        while let string = nextString(bytes, from: offset) {
            let next = afterBlanks(bytes, from: string.upperBound + 1)
            offset = string.upperBound + 1
            guard bytes.byte(at: next) == UInt8(ascii: ":") else { continue }
            let key = text(bytes, string)
            keys.insert(key)
            offset = afterBlanks(bytes, from: next + 1)
            guard key == "method", bytes.byte(at: offset) == UInt8(ascii: "\""),
                let value = nextString(bytes, from: offset)
            else { continue }
            let call = text(bytes, value)
            if call.hasPrefix("mining.") || calls.contains(call) { return true }
            isLogin = isLogin || call == "login"
            offset = value.upperBound + 1
        }
        return isLogin && keys.contains("login") && !keys.isDisjoint(with: companions)
    }

    /// The inside of the next whole string.
    private static func nextString(_ bytes: RawSpan, from start: Int) -> Range<Int>? {
        var offset = start
        while bytes.byte(at: offset) != UInt8(ascii: "\"") {
            guard offset < min(limit, bytes.byteCount) else { return nil }
            offset += 1
        }
        let inside = offset + 1
        offset = inside
        while let byte = bytes.byte(at: offset), offset < limit {
            if byte == UInt8(ascii: "\"") { return inside..<offset }
            offset += byte == UInt8(ascii: "\\") ? 2 : 1
        }
        return nil
    }

    /// A short string in lower case; of a longer one its start.
    private static func text(_ bytes: RawSpan, _ range: Range<Int>) -> String {
        String(decoding: bytes.copy(range.prefix(32)), as: UTF8.self).lowercased()
    }

    private static func afterBlanks(_ bytes: RawSpan, from start: Int) -> Int {
        var offset = start
        while offset < limit, let byte = bytes.byte(at: offset), [0x20, 0x09, 0x0a, 0x0d].contains(byte) { offset += 1 }
        return offset
    }
}
