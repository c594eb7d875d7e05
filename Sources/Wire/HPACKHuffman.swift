/// The Huffman code of HPACK (RFC 7541 §5.2, appendix B).
///
/// The code is canonical: the codes of one length follow one another in the order of their symbols, and the first of a length
/// follows the last of the shorter ones. So the lengths say it all.
enum HPACKHuffman {
    /// The codes of one length.
    private struct Row {
        /// In bits.
        let length: Int
        /// The first code of this length.
        let first: UInt32
        let symbols: [UInt8]
    }

    /// The symbols by the length of their codes.
    ///
    /// Behind the last comes the end of the string, 30 bits as those before it.
    static let lengths: [(length: Int, symbols: [ClosedRange<UInt8>])] = [
        (5, [48...50, 97...97, 99...99, 101...101, 105...105, 111...111, 115...116]),
        (
            6,
            [
                32...32, 37...37, 45...47, 51...57, 61...61, 65...65, 95...95, 98...98, 100...100, 102...104, 108...110,
                112...112, 114...114, 117...117,
            ]
        ),
        (7, [58...58, 66...87, 89...89, 106...107, 113...113, 118...122]),
        (8, [38...38, 42...42, 44...44, 59...59, 88...88, 90...90]),
        (10, [33...34, 40...41, 63...63]),
        (11, [39...39, 43...43, 124...124]),
        (12, [35...35, 62...62]),
        (13, [0...0, 36...36, 64...64, 91...91, 93...93, 126...126]),
        (14, [94...94, 125...125]),
        (15, [60...60, 96...96, 123...123]),
        (19, [92...92, 195...195, 208...208]),
        (20, [128...128, 130...131, 162...162, 184...184, 194...194, 224...224, 226...226]),
        (
            21,
            [
                153...153, 161...161, 167...167, 172...172, 176...177, 179...179, 209...209, 216...217, 227...227,
                229...230,
            ]
        ),
        (
            22,
            [
                129...129, 132...134, 136...136, 146...146, 154...154, 156...156, 160...160, 163...164, 169...170,
                173...173, 178...178, 181...181, 185...187, 189...190, 196...196, 198...198, 228...228, 232...233,
            ]
        ),
        (
            23,
            [
                1...1, 135...135, 137...141, 143...143, 147...147, 149...152, 155...155, 157...158, 165...166,
                168...168,
                174...175, 180...180, 182...183, 188...188, 191...191, 197...197, 231...231, 239...239,
            ]
        ),
        (
            24,
            [9...9, 142...142, 144...145, 148...148, 159...159, 171...171, 206...206, 215...215, 225...225, 236...237]
        ),
        (25, [199...199, 207...207, 234...235]),
        (
            26,
            [
                192...193, 200...202, 205...205, 210...210, 213...213, 218...219, 238...238, 240...240, 242...243,
                255...255,
            ]
        ),
        (27, [203...204, 211...212, 214...214, 221...223, 241...241, 244...248, 250...254]),
        (28, [2...8, 11...12, 14...21, 23...31, 127...127, 220...220, 249...249]),
        (30, [10...10, 13...13, 22...22]),
    ]

    private static let rows: [Row] = {
        var code: UInt32 = 0
        var before = 0
        return lengths.map { length, ranges in
            code <<= UInt32(length - before)
            before = length
            let row = Row(length: length, first: code, symbols: ranges.flatMap { $0 })
            code += UInt32(row.symbols.count)
            return row
        }
    }()

    /// The string of a range, in at most `limit` bytes.
    static func decode(_ bytes: RawSpan, in range: Range<Int>, limit: Int) throws(HPACKError) -> [UInt8] {
        let rows = Self.rows
        var text: [UInt8] = []
        // At most 37 bits: 29 that are no whole code, and a byte.
        var word: UInt64 = 0
        var count = 0
        for offset in range {
            guard let byte = bytes.byte(at: offset) else { throw .truncated }
            word = word << 8 | UInt64(byte)
            count += 8
            while let (symbol, length) = match(rows, word, count) {
                guard text.count < limit else { throw .tooLarge }
                text.append(symbol)
                count -= length
                word &= 1 << UInt64(count) - 1
            }
            // The end of the string is what no row has.
            guard count < 30 else { throw .huffman }
        }
        guard count < 8, word == 1 << UInt64(count) - 1 else { throw .huffman }
        return text
    }

    /// The symbol that the first of `count` bits are the code of; nil when they are none yet.
    @inline(__always)
    private static func match(_ rows: [Row], _ word: UInt64, _ count: Int) -> (UInt8, Int)? {
        for row in rows {
            guard row.length <= count else { return nil }
            let code = word >> UInt64(count - row.length)
            guard code >= UInt64(row.first) else { continue }
            let place = Int(code - UInt64(row.first))
            if place < row.symbols.count { return (row.symbols[place], row.length) }
        }
        return nil
    }
}
