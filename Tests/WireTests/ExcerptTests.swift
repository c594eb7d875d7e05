import Testing

@testable import Wire

/// Foreign bytes on one line.
@Suite("Excerpts")
struct ExcerptTests {
    @Test("what is visible stays, all else is an escape")
    func escapes() {
        #expect(Excerpt.text(Array("GET / HTTP/1.1\r\n\tx\\".utf8)) == "GET / HTTP/1.1\\r\\n\\tx\\\\")
        #expect(Excerpt.text([0, 0x1f, 0x20, 0x7e, 0x7f, 0x80, 0xff]) == "\\x00\\x1f ~\\x7f\\x80\\xff")
        #expect(Excerpt.text([]).isEmpty)
    }

    @Test("it ends before an escape that does not fit")
    func cuts() {
        #expect(Excerpt.text(Array(repeating: 0x61, count: 100)) == String(repeating: "a", count: 64))
        #expect(Excerpt.text(Array(repeating: 0, count: 100), limit: 10) == "\\x00\\x00")
        #expect(Excerpt.text(Array("abc\nd".utf8), limit: 4) == "abc")
        #expect(Excerpt.text(Array("abc\nd".utf8), limit: 5) == "abc\\n")
        #expect(Excerpt.text(Array("abc".utf8), limit: 0).isEmpty)
        for limit in 0...64 {
            let text = Excerpt.text((0...255).map { $0 }, limit: limit)
            #expect(text.utf8.count <= limit && text.utf8.count.isMultiple(of: text.isEmpty ? 1 : 2))
        }
    }

    @Test("a part of the bytes, as far as they reach")
    func readsParts() {
        let bytes = Array("abcdef".utf8)
        let part = Excerpt.text(bytes.raw, in: 2..<4)
        let end = Excerpt.text(bytes.raw, in: 4..<9)
        #expect([part, end] == ["cd", "ef"])
    }

    @Test("two byte strings of one length never have one text")
    func isUnique() {
        let all = (0...255).map { Excerpt.text([$0]) }
        #expect(Set(all).count == 256)
        #expect(Excerpt.text(Array("\\n".utf8)) != Excerpt.text(Array("\n".utf8)))
    }
}
