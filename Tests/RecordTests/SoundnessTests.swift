import Testing

@testable import Record

struct SoundnessTests {
    @Test("what cannot be read just then is not damaged")
    func tellsFailureFromDamage() {
        let begin = "*** in database main ***\nTree 5 page 5: unable to get the page. error code="
        // SQLITE_IOERR_READ, SQLITE_CORRUPT, SQLITE_NOTADB.
        #expect(!Soundness.failure(begin + "266").isDamage)
        #expect(Soundness.failure(begin + "11").isDamage)
        #expect(Soundness.failure(begin + "26").isDamage)
        #expect(!Soundness.failure(begin + "11\nTree 6 page 9: unable to get the page. error code=7").isDamage)
        #expect(!Soundness.failure("Freelist: failed to get page 7").isDamage)
        #expect(Soundness.failure("Freelist: invalid page number 7").isDamage)
        #expect(Soundness.failure("Tree 5 page 5 cell 0: Rowid 7 out of order").isDamage)
    }
}
