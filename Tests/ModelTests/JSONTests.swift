import Model
import TestSupport
import Testing

@Suite struct JSONTests {
    @Test(arguments: [
        #"null"#, #"true"#, #"-12"#, #"0.5"#, #"1e+20"#, #""a\"\\\n\u0007b""#, #"[]"#, #"{}"#,
        #"[1,[2,{"a":null}],"é"]"#,
        #"{"b":1,"a":{"c":[false]}}"#, #"-9223372036854775808"#, #""\u009b\u2028\u202e\u200b\ufeff\u007f""#, #""😀""#,
    ])
    func writesWhatItReads(text: String) throws {
        #expect(try JSON.parse(text).description == text)
    }

    @Test func readsWhatOthersWrite() throws {
        let text = " { \"a\" : [ 1 , 2.5 ] ,\n\t\"\\u00e9\\/\\ud83d\\ude00\\b\\f\" : \"\\r\" } "
        #expect(try JSON.parse(text) == ["a": [1, 2.5], "é/😀\u{8}\u{c}": "\r"])
    }

    @Test(arguments: [
        "", " ", "nul", "truee", "01", "-", "1.", ".5", "+1", "1e", "0x10", "NaN", "Infinity", "1e999",
        "9223372036854775808",
        "[", "[1", "[1,", "[1,]", "[,]", "]", "{", "{\"a\"", "{\"a\":", "{\"a\":1,", "{\"a\":1,}", "{a:1}", "{1:1}",
        "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}", "\"", "\"a", "\"\\", "\"\\u", "\"\\u12", "\"\\u12g4\"",
        "\"\\x\"",
        "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\ud800x\"", "\"\n\"", "\"\t\"", "1 2", "'a'", "// a\n1",
        "\u{feff}1", "\u{a0}1",
    ])
    func refuses(text: String) {
        #expect(throws: JSONError.self) { try JSON.parse(text) }
    }

    @Test(arguments: [
        [0x22, 0xff, 0x22], [0x22, 0xc0, 0x80, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22], [0x22, 0xe2, 0x80], [0x80],
    ])
    func refusesWhatIsNotUTF8(bytes: [UInt8]) {
        #expect(throws: JSONError.self) { try JSON.parse(bytes) }
    }

    @Test func namesThePlace() {
        #expect(throws: JSONError(offset: 10, message: "duplicate key 'a'")) { try JSON.parse(#"{"a":1,"a":2}"#) }
    }

    @Test func boundsDepth() throws {
        let nested = { (count: Int) in String(repeating: "[", count: count) + String(repeating: "]", count: count) }
        _ = try JSON.parse(nested(64))
        #expect(throws: JSONError(offset: 64, message: "more than 64 levels")) { try JSON.parse(nested(65)) }
        #expect(throws: JSONError.self) { try JSON.parse(String(repeating: "{\"a\":", count: 100_000)) }
    }

    @Test func boundsSize() throws {
        #expect(try JSON.parse("[1]", limit: 3) == [1])
        #expect(throws: JSONError.self) { try JSON.parse("[1] ", limit: 3) }
    }

    @Test func hidesNothingAndStaysOnOneLine() throws {
        let hostile =
            String(String.UnicodeScalarView((0..<0x3000).compactMap { Unicode.Scalar(UInt32($0)) })) + "\u{feff}"
        let text = JSON.string(hostile).description
        #expect(
            text.unicodeScalars.allSatisfy {
                $0.properties.generalCategory != .control && $0.properties.generalCategory != .lineSeparator
                    && $0.properties.generalCategory != .paragraphSeparator && !$0.properties.isBidiControl
            },
        )
        #expect(try JSON.parse(text).string == hostile)
    }

    @Test func writesNumbersThatAreNoneAsNull() {
        #expect(JSON.array([.number(.nan), .number(.infinity), .number(-0.0)]).description == "[null,null,0.0]")
    }

    @Test func equalValuesHashEqually() {
        #expect(JSON.number(0.0) == JSON.number(-0.0))
        #expect(Set([JSON.number(0.0), JSON.number(-0.0)]).count == 1)
    }

    @Test func buildsAndReads() {
        let absent: String? = nil
        let value = JSON(present: [
            "a": JSON(absent), "b": JSON(UInt64.max), "c": JSON(["x"]), "d": JSON(["k": "v"]), "e": true,
        ])
        #expect(value.description == #"{"b":9223372036854775807,"c":["x"],"d":{"k":"v"},"e":true}"#)
        #expect(value["a"] == nil)
        #expect(value["b"]?.integer == .max)
        #expect(value["c"]?.texts == ["x"])
        #expect(value["d"]?.strings == ["k": "v"])
        #expect(value["e"]?.bool == true)
        #expect(value["c"]?.array?.count == 1)
        #expect(value.object?.map(\.key) == ["b", "c", "d", "e"])
        #expect(value["b"]?.string == nil)
        #expect((["x", 1] as JSON).texts == nil)
        #expect((["x": 1] as JSON).strings == nil)
    }

    /// Whatever bytes come, the parser answers, and what it accepts it writes in a form that it reads again.
    @Test(arguments: [1, 7, 1042, 0xdead_beef] as [UInt64])
    func survivesMutations(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        let source = Array(#"{"seq":1042,"a":[1.5e3,-0,"\ud83d\ude00é",null,true],"b":{"c":{}},"d":"\u2028"}"#.utf8)
        var accepted = 0
        for _ in 0..<5000 {
            var bytes = source
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: at)
                case 2: bytes.insert(bytes[Int.random(in: 0..<bytes.count, using: &random)], at: at)
                default: bytes.removeSubrange(at...)
                }
                if bytes.isEmpty { bytes = [0x20] }
            }
            guard let value = try? JSON.parse(bytes) else { continue }
            accepted += 1
            #expect(try JSON.parse(value.description) == value)
        }
        #expect(accepted > 0)
    }
}
