import Testing

@testable import System

@Suite struct QueueLossesTests {
    @Test func addsUpWhatItsQueuesLost() {
        let text = """
               16  21402     0 2 65531     3     4       40  1
               17  21402     0 2 65531     0     0        0  1
               99   7777     5 2 65531   100   100        9  1

            """
        #expect(QueueLosses.total(in: text, of: 16...19) == 7)
        #expect(QueueLosses.total(in: text, of: 99...99) == 200)
        #expect(QueueLosses.total(in: "", of: 0...9) == 0)
        #expect(QueueLosses.total(in: "16 x 0 2 65531 x 4 40 1\n16 1\nx", of: 0...99) == 0)
    }
}
