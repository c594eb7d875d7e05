import Glibc
import Model
import Testing

@testable import Record

/// What is written down before it is done: nothing of it may be missing, or be there twice.
@Suite struct AheadTests {
    private let scratch: Scratch
    /// It makes the directory.
    private let store: Store

    init() throws {
        scratch = try Scratch()
        store = try Store(directory: scratch.path, options: .quick())
    }

    private func open(limit: Int = 1 << 20, maximum: Int = 64 << 20) throws -> AheadFile {
        try AheadFile(directory: scratch.path, limit: limit, maximum: maximum)
    }

    private func line(_ number: Int, packet: UInt32? = nil) -> AheadFile.Line {
        AheadFile.Line(
            event: event(number),
            packet: packet.map { AheadFile.Packet(queue: 7, number: $0) },
        )
    }

    @Test func thereIsNothingAtFirst() throws {
        let file = try open()
        #expect(file.left == AheadFile.Left())
        #expect(try scratch.mode(of: "ahead-0") == 0o600 && scratch.mode(of: "ahead-1") == 0o600)
    }

    @Test func theNextOneReadsWhatWasWritten() throws {
        let lines = [line(1), line(2, packet: .max), line(3, packet: 0)]
        do {
            let file = try open()
            #expect(file.write(Array(lines[..<1]), given: 1, after: 41))
            #expect(file.write(Array(lines[1...]), given: 3, after: 42))
        }
        let next = try open()
        #expect(next.left.lines == lines && next.left.after == 41)
        // And so does the one after it, until the record has them.
        #expect(try open().left.lines == lines)
        next.clear()
        #expect(try open().left.lines == lines, "nobody has taken them over")
        next.settle(given: 3)
        next.clear()
        #expect(try open().left.lines == [])
    }

    @Test func whatIsTakenBackIsNotLeft() throws {
        let packet = AheadFile.Packet(queue: 7, number: 5)
        do {
            let file = try open()
            #expect(file.write([line(1, packet: 5), line(2, packet: 6), line(3)], given: 3, after: 0))
            #expect(file.takeBack(packet, after: 0))
        }
        let next = try open()
        #expect(next.left.lines == [line(2, packet: 6), line(3)])
        // A number comes again with another queue.
        #expect(next.write([line(4, packet: 5)], given: 4, after: 0))
        #expect(try open().left.lines == [line(2, packet: 6), line(3), line(4, packet: 5)])
    }

    @Test func whichElementAPacketMeetsIsRead() throws {
        var (met, taken) = (line(1, packet: 5), line(2))
        met.meets = AheadFile.Counter(set: "denied4", key: [0, 0, 5, 0])
        taken.taken = met.meets
        #expect(try open().write([met, taken], given: 2, after: 0))
        #expect(try open().left.lines == [met, taken])
    }

    /// What an element has counted is told of once, whether it was taken out of the kernel or not.
    @Test func whatWasCountedIsLeftUntilItIsTaken() throws {
        let counters = [[], [0, 127, 255]].map { AheadFile.Counter(set: "denied6", key: $0) }
        let elsewhere = AheadFile.Counter(set: "knocks6", key: [])
        do {
            let file = try open()
            for (number, counter) in (counters + [elsewhere]).enumerated() {
                #expect(file.write(event(number), countedBy: counter, after: 7))
            }
            // It was still there, and counted on.
            #expect(file.write(event(3), countedBy: counters[0], after: 7))
        }
        var counts = [counters[0]: event(3), counters[1]: event(1), elsewhere: event(2)]
        let next = try open()
        #expect(next.left == AheadFile.Left(counts: counts, after: 7))
        #expect(next.write([AheadFile.Line(event: event(4), taken: counters[0])], given: 1, after: 7))
        counts[counters[0]] = nil
        let taken = try open().left
        #expect(taken.counts == counts)
        #expect(taken.lines == [AheadFile.Line(event: event(4), taken: counters[0])])
        // There is one with the same key again.
        #expect(next.write(event(5), countedBy: counters[0], after: 7))
        #expect(try open().left.counts[counters[0]] == event(5))
    }

    @Test(arguments: ["10.0.0.5", "fd00::5"])
    func whereAConnectionBegan(_ address: String) throws {
        let local = try #require(IPAddress(address))
        let remote = Destination(address: local, port: 443, transport: .tcp)
        let beginnings = [0, .max].map { (initial: UInt32) in
            AheadFile.Beginning(local: local, localPort: 40_000, remote: remote, initial: initial)
        }
        do {
            let file = try open()
            for beginning in beginnings { #expect(file.write(beginning, after: 3)) }
        }
        #expect(try open().left == AheadFile.Left(beginnings: beginnings, after: 3))
    }

    /// A daemon was killed in the middle of a write, at every place.
    @Test func aPieceOfALineCountsNothing() throws {
        #expect(try open().write([line(1), line(2)], given: 2, after: 0))
        let path = "\(scratch.path)/ahead-0"
        var status = stat()
        try #require(unsafe stat(path, &status) == 0)
        var seen: Set<Int> = []
        for size in (0...Int(status.st_size)).reversed() {
            try #require(unsafe truncate(path, off_t(size)) == 0)
            let file = try open()
            seen.insert(file.left.lines.count)
            #expect(file.left.lines == Array([line(1), line(2)].prefix(file.left.lines.count)))
        }
        #expect(seen == [0, 1, 2])
        #expect(try open().write([line(3)], given: 1, after: 0))
        #expect(try open().left.lines == [line(3)])
    }

    @Test func bytesThatAreNoLinesArePassedOver() throws {
        let garbage = Array("nonsense\n{\"queue\":1}\n[]\n\n".utf8)
        let file = unsafe fopen("\(scratch.path)/ahead-1", "w")
        unsafe fwrite(garbage, 1, garbage.count, file)
        unsafe fclose(file)
        let opened = try open()
        #expect(opened.left.lines == [])
        #expect(opened.write([line(1)], given: 1, after: 0))
        #expect(try open().left.lines == [line(1)])
    }

    /// The files are used in turn, and one is emptied only when the record has all that is in it.
    @Test func nothingIsForgottenThatIsNotCommitted() throws {
        let file = try open(limit: 400)
        var chance = SystemRandomNumberGenerator()
        var committed: UInt64 = 0
        for number in 0..<500 {
            if file.isFull(committed: committed) { file.takeTurns(with: [], after: Int64(committed)) }
            #expect(file.write([line(number)], given: UInt64(number + 1), after: Int64(committed)))
            committed = UInt64.random(in: committed...UInt64(number + 1), using: &chance)
            let left = Set(try open().left.lines.compactMap { $0.event.message.flatMap { Int($0) } })
            #expect(left.isSuperset(of: Int(committed)..<number + 1), "event \(number)")
            #expect(try open().left.after <= Int64(committed))
        }
        var sizes = 0
        for name in ["ahead-0", "ahead-1"] {
            var status = stat()
            try #require(unsafe stat("\(scratch.path)/\(name)", &status) == 0)
            sizes += Int(status.st_size)
        }
        #expect(sizes < 500 * 60, "they do not grow for ever")
    }

    /// What an earlier daemon left is in neither file's way until the store was given all of it.
    @Test func whatIsNotTakenOverStaysWhenTheFilesTakeTurns() throws {
        do {
            let file = try open(limit: 1)
            #expect(file.write([line(1)], given: 1, after: 0))
            #expect(file.isFull(committed: 0))
            file.takeTurns(with: [], after: 0)
            #expect(file.write([line(2)], given: 2, after: 0))
        }
        let next = try open(limit: 1)
        #expect(!next.isFull(committed: .max - 1))
        #expect(next.write([line(3)], given: 1, after: 0))
        #expect(!next.isFull(committed: 1))
        #expect(try open().left.lines == [line(1), line(2), line(3)])
        next.settle(given: 3)
        #expect(!next.isFull(committed: 2))
        #expect(next.isFull(committed: 3))
    }

    @Test func firstFlightsThatAreAwaitedGoAlongWhenTheFilesTakeTurns() throws {
        let local = try #require(IPAddress("10.0.0.5"))
        let beginnings = [UInt32(1), 2].map { initial in
            let remote = Destination(address: local, port: 443, transport: .tcp)
            return AheadFile.Beginning(local: local, localPort: 40_000, remote: remote, initial: initial)
        }
        let file = try open(limit: 1)
        for _ in 0..<3 {
            #expect(file.write([line(1)], given: 1, after: 0))
            #expect(file.isFull(committed: 1))
            file.takeTurns(with: beginnings, after: 0)
        }
        #expect(try open().left.beginnings.suffix(2) == beginnings)
        #expect(try open().left.beginnings.count == 4, "two of each file")
    }

    /// A record that cannot be written for long must not have the disk filled meanwhile.
    @Test func theyDoNotGrowForEver() throws {
        let file = try open(limit: 400, maximum: 2000)
        var written = 0
        while file.write([line(written)], given: UInt64(written + 1), after: 0) { written += 1 }
        #expect(written > 10)
        #expect(file.lastError == .system(call: "write", path: "\(scratch.path)/ahead-0", code: EFBIG))
        #expect(try open().left.lines.count == written)
        file.takeTurns(with: [], after: 0)
        #expect(file.write([line(1)], given: 1, after: 0) && file.lastError == nil)
    }
}
