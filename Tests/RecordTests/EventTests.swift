import Glibc
import Model
import Testing

@testable import Record

@Suite struct EventTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func open(_ options: Writer.Options = .quick()) throws -> Store {
        try Store(directory: scratch.path, options: options)
    }

    @Test func keepsWhatItIsGiven() throws {
        var full = event(1)
        full.destination = Destination(address: try #require(IPAddress("2001:db8::9")), port: 443, transport: .tcp)
        full.process = ProcessRecord(pid: 1, executable: "/bin/x", command: ["x", "\n\u{1b}[2J\u{2028}\0"], uid: 0)
        full.context = ["A": "b\nc"]
        full.finding = .internalScan
        full.count = 9
        let store = try open()
        #expect(store.append(full))
        try store.flush()
        full.sequence = 1
        #expect(try store.events(matching: EventFilter()) == [full])
        #expect(store.lastSequence == 1)
        #expect(store.health == StoreHealth(pending: 0, written: 1, lost: 0, lastError: nil))
    }

    @Test func keepsHostileTextOnOneLine() throws {
        let store = try open()
        // What an argument that is not UTF-8 becomes when it is read.
        var hostile = event(1, workload: String(decoding: [0x61, 0xff, 0xfe, 0x0a, 0x00, 0x27], as: UTF8.self))
        hostile.message = "'; DROP TABLE events; --\r\n\u{85}"
        store.append(hostile)
        try store.flush()
        let bodies = try store.writer.perform { (database) throws(StoreError) -> [String] in
            var bodies: [String] = []
            try database.query("SELECT body FROM events") { (row) throws(StoreError) in bodies.append(row.text(0) ?? "")
            }
            return bodies
        }
        #expect(bodies.count == 1)
        #expect(bodies.allSatisfy { $0.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control } })
        hostile.sequence = 1
        #expect(try store.events(matching: EventFilter(workload: hostile.workload)) == [hostile])
    }

    @Test func givesNumbersInOrderOverBatchesAndRestarts() throws {
        for start in [0, 1000] {
            let store = try open(.quick(batch: 64))
            for number in start..<(start + 1000) { #expect(store.append(event(number))) }
            store.close()
            #expect(store.lastSequence == Int64(start + 1000))
            #expect(store.health.written == 1000)
        }
        let events = try Store.read(directory: scratch.path).events(matching: EventFilter(limit: 5000))
        #expect(events.numbers == Array(0..<2000))
        #expect(events.map(\.sequence) == Array(1...2000))
    }

    @Test func filters() throws {
        let store = try open()
        for number in 0..<100 {
            store.append(
                event(
                    number,
                    workload: number % 2 == 0 ? "even" : "odd",
                    verdict: number % 5 == 0 ? .allow : .deny,
                    kind: number % 10 == 3 ? .inbound : .request,
                ),
            )
        }
        try store.flush()
        func numbers(_ filter: EventFilter) throws -> [Int] { try store.events(matching: filter).numbers }
        #expect(try numbers(EventFilter(limit: 3)) == [97, 98, 99])
        #expect(try numbers(EventFilter(limit: 3, newestLast: false)) == [99, 98, 97])
        #expect(try numbers(EventFilter(afterSequence: 10, limit: 3)) == [10, 11, 12])
        #expect(try numbers(EventFilter(afterSequence: 10, limit: 3, newestLast: false)) == [12, 11, 10])
        #expect(try numbers(EventFilter(afterSequence: 100)) == [])
        #expect(try numbers(EventFilter(since: WallTime(microseconds: 1_000_098))) == [98, 99])
        #expect(try numbers(EventFilter(since: WallTime(microseconds: 2_000_000))) == [])
        #expect(try numbers(EventFilter(workload: "even", limit: 2)) == [96, 98])
        #expect(try numbers(EventFilter(workload: "nobody")) == [])
        #expect(try numbers(EventFilter(workload: "odd", verdicts: [.allow], limit: 2)) == [85, 95])
        #expect(try numbers(EventFilter(verdicts: [.allow, .deny], kinds: [.inbound], limit: 2)) == [83, 93])
        #expect(try numbers(EventFilter(limit: 0)) == [])
        #expect(try numbers(EventFilter(limit: -1)) == [])
    }

    @Test func findsEventsByName() throws {
        let store = try open()
        for number in 0..<20 {
            var named = event(number, workload: number % 2 == 0 ? "even" : "odd")
            named.name = number % 5 == 0 ? nil : "n\(number % 5).example"
            store.append(named)
        }
        try store.flush()
        func numbers(_ filter: EventFilter) throws -> [Int] { try store.events(matching: filter).numbers }
        #expect(try numbers(EventFilter(name: "n2.example")) == [2, 7, 12, 17])
        #expect(try numbers(EventFilter(workload: "odd", name: "n2.example")) == [7, 17])
        #expect(try numbers(EventFilter(afterSequence: 8, name: "n2.example", limit: 1)) == [12])
        #expect(try numbers(EventFilter(name: "N2.example")) == [])
        #expect(try numbers(EventFilter(name: "")) == [])
    }

    @Test func findsLinesFromBeforeTheClockWasSetBack() throws {
        let store = try open()
        for (number, time) in [100, 300, 50, 120, 200].enumerated() as EnumeratedSequence<[Int64]> {
            var moved = event(number)
            moved.time = WallTime(microseconds: time)
            store.append(moved)
        }
        try store.flush()
        #expect(try store.events(matching: EventFilter(since: WallTime(microseconds: 110))).numbers == [1, 3, 4])
    }

    @Test func saysSoWhenALineCannotBeRead() throws {
        let store = try open()
        for number in 0..<3 { store.append(event(number)) }
        try store.flush()
        try store.writer.perform { (database) throws(StoreError) in
            try database.run("UPDATE events SET body = '{' WHERE seq = 2")
        }
        let events = try store.events(matching: EventFilter())
        #expect(events.map(\.sequence) == [1, 2, 3])
        #expect(events[1].kind == .alarm)
        #expect(events[1].time == event(1).time)
        #expect(events[1].message?.contains("line 2") == true)
    }

    @Test func countsWhatDoesNotFitAndSaysWhere() throws {
        let store = try open(.quick(capacity: 10))
        // While a job runs the thread takes nothing from the queue.
        try store.whileWriterIsBusy {
            for number in 0..<10 { #expect(store.append(event(number))) }
            for number in 10..<15 { #expect(!store.append(event(number))) }
            #expect(store.health.pending == 10)
        }
        try store.flush()
        #expect(store.append(event(15)))
        try store.flush()
        let events = try store.events(matching: EventFilter())
        #expect(events.numbers == Array(0..<10) + [15])
        #expect(events.map(\.sequence) == Array(1...12))
        #expect(events[10].kind == .alarm)
        #expect(events[10].count == 5)
        #expect(events[10].time == event(14).time)
        #expect(store.health.lost == 5)
        #expect(store.health.written == 12)
    }

    @Test func tellsWhoFollows() throws {
        let store = try open()
        var descriptor = pollfd(fd: store.committed, events: Int16(POLLIN), revents: 0)
        #expect(unsafe poll(&descriptor, 1, 0) == 0)
        store.append(event(1))
        #expect(unsafe poll(&descriptor, 1, 10_000) == 1)
        store.acknowledge()
        #expect(store.lastSequence == 1)
        #expect(unsafe poll(&descriptor, 1, 0) == 0)
    }

    @Test func readsWhileItIsWritten() async throws {
        let store = try open(.quick(batch: 50))
        let writing = Task.detached {
            for number in 0..<5000 { store.append(event(number)) }
            try store.flush()
        }
        let reader = try Store.read(directory: scratch.path)
        var seen: [Int] = []
        var last: Int64 = 0
        while seen.count < 5000 {
            let events = try reader.events(matching: EventFilter(afterSequence: last, limit: 300))
            seen += events.numbers
            last = events.last?.sequence ?? last
            await Task.yield()
        }
        try await writing.value
        #expect(seen == Array(0..<5000))
    }

    @Test func takesEventsFromManyThreads() async throws {
        let store = try open(.quick(batch: 100))
        await withTaskGroup { group in
            for thread in 0..<8 {
                group.addTask { for number in 0..<500 { store.append(event(number, workload: "t\(thread)")) } }
            }
        }
        try store.flush()
        for thread in 0..<8 {
            let events = try store.events(matching: EventFilter(workload: "t\(thread)"))
            #expect(events.numbers == Array(0..<500))
        }
        #expect(store.lastSequence == 4000)
    }

    @Test func refusesAfterClosing() throws {
        let store = try open()
        store.append(event(1))
        store.close()
        store.close()
        #expect(!store.append(event(2)))
        #expect(store.health == StoreHealth(pending: 0, written: 1, lost: 1, lastError: nil))
        #expect(throws: StoreError.closed) { try store.flush() }
        #expect(throws: StoreError.closed) { try store.setMeta("a", "b") }
        #expect(try store.events(matching: EventFilter()).numbers == [1])
    }
}

extension Store {
    /// Runs `body` while the writer is held up in a job.
    func whileWriterIsBusy(_ body: () throws -> Void) throws {
        var ends: [Int32] = [-1, -1]
        try #require(unsafe pipe(&ends) == 0)
        let (reading, writing) = (ends[0], ends[1])
        defer { for end in ends { Glibc.close(end) } }
        let job = Writer.Job { _ in
            var byte: UInt8 = 0
            // Two reads: the first says that the job runs, the second lets it go.
            _ = unsafe Glibc.read(reading, &byte, 1)
            _ = unsafe Glibc.read(reading, &byte, 1)
        }
        writer.gate.lock()
        writer.shared.jobs.append(job)
        writer.gate.signal(.work)
        writer.gate.unlock()
        _ = unsafe Glibc.write(writing, "a", 1)
        // The byte is gone once the job took it.
        var left: Int32 = 1
        while left > 0 { _ = unsafe ioctl(reading, UInt(FIONREAD), &left) }
        defer {
            _ = unsafe Glibc.write(writing, "b", 1)
            writer.gate.lock()
            while !job.isFinished { writer.gate.wait(for: .done) }
            writer.gate.unlock()
        }
        try body()
    }
}
