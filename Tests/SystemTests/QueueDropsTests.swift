import Testing

@testable import System

struct QueueDropsTests {
    @Test func readsWhatTheKernelTells() {
        let drops = QueueDrops(
            """
             8100   4711     0 2 65535     3     0      991  1
             8107   4711  4096 2 65535    12    30     8000  1
            what no kernel says

            """
        )
        #expect(drops.byQueue == [8100: 3, 8107: 42])
    }

    @Test func countsWhatIsNewInItsQueues() {
        let before = QueueDrops("1 1 0 2 9 5 0 1 1\n2 1 0 2 9 7 0 1 1\n9 1 0 2 9 1 0 1 1")
        // The second was bound anew, the third is new, the last is another program's.
        let now = QueueDrops("1 1 0 2 9 6 2 1 1\n2 1 0 2 9 4 0 1 1\n3 1 0 2 9 1 0 1 1\n9 1 0 2 9 8 0 1 1")
        #expect(now.more(than: before, in: 1...3) == 3 + 4 + 1)
    }
}
