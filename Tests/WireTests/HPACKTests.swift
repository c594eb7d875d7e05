import TestSupport
import Testing

@testable import Wire

/// The known answers of RFC 7541, and every refusal.
@Suite("HPACK")
struct HPACKTests {
    private func fields(_ text: String) throws -> [HPACKField] {
        var decoder = HPACKDecoder()
        return try hex(text).hpackFields(&decoder)
    }

    private func refusal(_ text: String) -> HPACKError? {
        do {
            _ = try fields(text)
            return nil
        } catch {
            return error as? HPACKError
        }
    }

    @Test("single fields (appendix C.2)")
    func readsKinds() throws {
        #expect(
            try fields("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572")
                == [HPACKField("custom-key", "custom-header")]
        )
        #expect(try fields("040c 2f73 616d 706c 652f 7061 7468") == [HPACKField(":path", "/sample/path")])
        #expect(try fields("1008 7061 7373 776f 7264 0673 6563 7265 74") == [HPACKField("password", "secret")])
        #expect(try fields("82") == [HPACKField(":method", "GET")])
    }

    private static let requests: [[HPACKField]] = [
        [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")],
        [
            (":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com"),
            ("cache-control", "no-cache"),
        ],
        [
            (":method", "GET"), (":scheme", "https"), (":path", "/index.html"), (":authority", "www.example.com"),
            ("custom-key", "custom-value"),
        ],
    ].map { $0.map { HPACKField($0.0, $0.1) } }

    @Test(
        "three requests of one connection (appendix C.3, C.4)",
        arguments: [
            [
                "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", "8286 84be 5808 6e6f 2d63 6163 6865",
                "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
            ],
            [
                "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", "8286 84be 5886 a8eb 1064 9cbf",
                "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
            ],
        ]
    )
    func readsConnections(_ blocks: [String]) throws {
        var decoder = HPACKDecoder()
        for (block, (expected, size)) in zip(blocks, zip(Self.requests, [57, 110, 164])) {
            #expect(try hex(block).hpackFields(&decoder) == expected)
            #expect(decoder.tableSize == size)
        }
    }

    private static let responses: [[HPACKField]] = [
        [
            (":status", "302"), ("cache-control", "private"), ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
            ("location", "https://www.example.com"),
        ],
        [
            (":status", "307"), ("cache-control", "private"), ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
            ("location", "https://www.example.com"),
        ],
        [
            (":status", "200"), ("cache-control", "private"), ("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
            ("location", "https://www.example.com"), ("content-encoding", "gzip"),
            ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
        ],
    ].map { $0.map { HPACKField($0.0, $0.1) } }

    @Test(
        "a table of 256 that loses its oldest (appendix C.5, C.6)",
        arguments: [
            [
                """
                4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120
                474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d
                """,
                "4803 3330 37c1 c0bf",
                """
                88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738
                666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33
                3630 303b 2076 6572 7369 6f6e 3d31
                """,
            ],
            [
                """
                4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718
                63c7 8f0b 97c8 e9ae 82ae 43d3
                """,
                "4883 640e ffc1 c0bf",
                """
                88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7
                b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07
                """,
            ],
        ]
    )
    func evicts(_ blocks: [String]) throws {
        var decoder = HPACKDecoder()
        for (index, (block, (expected, size))) in zip(blocks, zip(Self.responses, [222, 222, 215])).enumerated() {
            // A change of the size to 256, which the appendix has been told of in another way.
            let bytes = (index == 0 ? hex("3fe1 01") : []) + hex(block)
            #expect(try bytes.hpackFields(&decoder) == expected)
            #expect(decoder.tableSize == size)
        }
    }

    @Test("numbers (appendix C.1), and those that are too large")
    func readsIntegers() throws {
        var cursor = HPACKCursor(0..<3)
        #expect(try integer(hex("ff 9a 0a"), &cursor) == 1337)
        #expect(cursor.isAtEnd)
        var longest = HPACKCursor(0..<5)
        #expect(try integer(hex("1f ff ff ff 7f"), &longest) == 31 + 1 << 28 - 1)
        #expect(refusal("ff ff ff ff ff 00") == .integer)
        #expect(refusal("ff 80 80 80 80 00") == .integer)
        #expect(refusal("00 7f ff ff ff ff ff ff ff ff ff 7f") == .integer)
        for start in ["ff", "ff ff", "3f", "00 ff 80"] { #expect(refusal(start) == .truncated, "\(start)") }
    }

    private func integer(_ bytes: [UInt8], _ cursor: inout HPACKCursor) throws -> Int {
        try cursor.integer(in: bytes.raw, prefix: 5)
    }

    @Test("entries that no table has")
    func refusesIndices() {
        for block in ["80", "be", "ff 00", "7e 00", "0f 2f 00"] { #expect(refusal(block) == .index, "\(block)") }
        #expect(refusal("40 01 61 01 62 bf") == .index)
        #expect(refusal("40 01 61 01 62 be") == nil)
        // Not kept, so there is nothing to refer to.
        #expect(refusal("00 01 61 01 62 be") == .index)
        #expect(refusal("10 01 61 01 62 be") == .index)
    }

    @Test("the table's size changes at the start, at most twice, and never over 4,096")
    func refusesSizes() throws {
        #expect(try fields("20 3f e1 1f 82") == [HPACKField(":method", "GET")])
        #expect(refusal("3f e2 1f 82") == .tableSize)
        #expect(refusal("82 20") == .tableSize)
        #expect(refusal("20 20 20 82") == .tableSize)
        // A table of nothing keeps nothing, and one that is made smaller forgets.
        #expect(refusal("20 40 01 61 01 62 be") == .index)
        var decoder = HPACKDecoder()
        #expect(try hex("40 01 61 01 62").hpackFields(&decoder).count == 1)
        #expect(decoder.tableSize == 34)
        #expect(throws: HPACKError.index) { try hex("20 3f e1 1f be").hpackFields(&decoder) }
    }

    @Test("an entry larger than the table empties it")
    func emptiesTheTable() throws {
        var decoder = HPACKDecoder()
        _ = try hex("40 01 61 01 62").hpackFields(&decoder)
        let large = hex("40 01 61 7f c1 1f") + [UInt8](repeating: 0x62, count: 4_160)
        #expect(try large.hpackFields(&decoder).first?.value.count == 4_160)
        #expect(decoder.tableSize == 0)
    }

    @Test("strings that end too soon")
    func refusesTruncation() {
        for block in ["40", "40 01", "40 01 61", "40 01 61 02 62", "00 81", "41 8c f1 e3"] {
            #expect(refusal(block) == .truncated, "\(block)")
        }
    }

    @Test("Huffman's padding is the start of the end, of at most seven bits")
    func refusesHuffman() throws {
        // 'a' is 00011, then three ones.
        #expect(try fields("00 81 1f 00") == [HPACKField("a", "")])
        #expect(try fields("00 80 00") == [HPACKField("", "")])
        for odd in ["81 18", "81 1e", "82 1f ff", "81 ff", "84 ff ff ff ff", "85 1f ff ff ff ff", "84 ff ff ff fc"] {
            #expect(refusal("00 \(odd) 00") == .huffman, "\(odd)")
        }
    }

    @Test("every byte has a code, and no two codes begin alike")
    func readsEveryCode() throws {
        var seen: Set<UInt8> = []
        // The end of the string is one code of 30 bits.
        var share = 1
        for (length, ranges) in HPACKHuffman.lengths {
            let symbols = ranges.flatMap { Array($0) }
            seen.formUnion(symbols)
            share += symbols.count << (30 - length)
        }
        #expect(seen.count == 256)
        // The codes of a whole prefix code share all that there is.
        #expect(share == 1 << 30)
    }

    @Test("at most 128 fields, and 16 KiB of them")
    func bounds() throws {
        var decoder = HPACKDecoder()
        #expect(try [UInt8](repeating: 0x82, count: 128).hpackFields(&decoder).count == 128)
        #expect(throws: HPACKError.tooLarge) { try [UInt8](repeating: 0x82, count: 129).hpackFields(&decoder) }
        // An entry of 1,000 bytes, repeated.
        let entry = hex("40 01 61 7f e8 06") + [UInt8](repeating: 0x62, count: 999)
        #expect(try (entry + [UInt8](repeating: 0xbe, count: 15)).hpackFields(&decoder).count == 16)
        #expect(throws: HPACKError.tooLarge) { try (entry + [UInt8](repeating: 0xbe, count: 16)).hpackFields(&decoder) }
    }
}
