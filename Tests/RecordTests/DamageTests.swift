import CSQLite
import Glibc
import Model
import Testing

@testable import Record

/// A damaged record is set aside and a new one begun, at the start and while it is written: no event that was taken is lost.
@Suite struct DamageTests {
    private let scratch: Scratch

    init() throws { scratch = try Scratch() }

    /// A record with something in every table, closed.
    private func fill(_ scratch: Scratch) throws {
        let store = try Store(directory: scratch.path, options: .quick())
        for number in 0..<200 { store.append(event(number)) }
        try store.saveWorkloadNumbers(["w": (number: 7, generation: 3)])
        store.upsertRequests((1...50).map(request))
        store.upsertPins(try (0..<50).map(pin))
        for _ in 0..<20 { _ = try store.insertGrant(grant()) }
        try store.flush()
    }

    @Test func setsAsideWhatIsNoDatabase() throws {
        unsafe mkdir(scratch.path, 0o700)
        try scratch.overwrite(at: 0, with: Array(String(repeating: "no database ", count: 1000).utf8))
        #expect(throws: StoreError.self) { try Store.read(directory: scratch.path) }
        let store = try Store(directory: scratch.path)
        let aside = try #require(try scratch.setAside().first)
        let alarm = try #require(try store.events(matching: EventFilter()).first)
        #expect(alarm.kind == .alarm && alarm.sequence == 1)
        #expect(alarm.message?.contains("\(scratch.path)/\(aside)") == true)
        #expect(alarm.message?.contains("not a database") == true)
        #expect(store.health.replacements == 1)
        #expect(store.health.lastReplacement == alarm.message)
        #expect(try scratch.mode(of: aside) == 0o600)
        #expect(try scratch.size(of: aside) == 12_000)
    }

    @Test func numbersGoOn() throws {
        try fill(scratch)
        // The index of requests, which nothing reads at the start.
        let root = try Database(path: "\(scratch.path)/egressd.db", readOnly: true).number(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'requests_last'"
        )
        try scratch.overwrite(at: Int(try #require(root) - 1) * 4096 + 8, with: [UInt8](repeating: 0xff, count: 60))
        let store = try Store(directory: scratch.path)
        #expect(try scratch.setAside().count == 1)
        #expect(try store.events(matching: EventFilter()).map(\.sequence) == [201])
        #expect(try store.nextRequestNumber() == 51)
        #expect(try store.nextGrantNumber() == 21)
        #expect(try store.insertGrant(grant()) == 21)
    }

    /// Whatever is written over whichever page: it opens, and what it takes it keeps.
    @Test func opensWhateverPageIsDamaged() throws {
        let original = try Scratch()
        try fill(original)
        let pages = try original.size() / 4096
        let descriptor = unsafe open("\(original.path)/egressd.db", O_RDONLY)
        defer { close(descriptor) }
        var content = [UInt8](repeating: 0, count: pages * 4096)
        try #require(unsafe pread(descriptor, &content, content.count, 0) == content.count)
        var replaced = 0
        for page in 0..<pages {
            for garbage in [0x00, 0xff, 0x5a] as [UInt8] {
                let scratch = try Scratch()
                unsafe mkdir(scratch.path, 0o700)
                try scratch.overwrite(at: 0, with: content)
                try scratch.overwrite(at: page * 4096 + Int(garbage), with: [UInt8](repeating: garbage, count: 3000))
                let store = try Store(directory: scratch.path, options: .quick())
                #expect(store.append(event(1000)))
                try store.flush()
                #expect(try store.events(matching: EventFilter()).numbers.last == 1000, "page \(page), \(garbage)")
                replaced += try scratch.setAside().count
            }
        }
        // Garbage within the text of an event is no damage that SQLite could see.
        #expect(replaced > pages)
    }

    @Test(arguments: [100, 4096, 10_000])
    func setsAsideWhatIsCutShort(size: Int) throws {
        try fill(scratch)
        #expect(unsafe truncate("\(scratch.path)/egressd.db", off_t(size)) == 0)
        _ = try Store(directory: scratch.path)
        #expect(try scratch.setAside().count == 1)
    }

    @Test(arguments: [
        "DROP TABLE grants", "UPDATE grants SET address = 'x'", "PRAGMA user_version=-1", "PRAGMA user_version=0",
    ])
    func setsAsideWhatEgressdDidNotWrite(sql: String) throws {
        try fill(scratch)
        try Database(path: "\(scratch.path)/egressd.db", readOnly: false).execute(sql)
        let store = try Store(directory: scratch.path)
        #expect(try scratch.setAside().count == 1)
        #expect(try store.workloadNumbers().isEmpty)
    }

    @Test func leavesANewerRecordAlone() throws {
        try fill(scratch)
        try Database(path: "\(scratch.path)/egressd.db", readOnly: false).execute("PRAGMA user_version=99")
        #expect(throws: StoreError.newerSchema(found: 99, known: Schema.version)) { try Store(directory: scratch.path) }
        #expect(try scratch.setAside().isEmpty)
    }

    @Test func setsAsideALogThatIsNone() throws {
        for number in 0..<3 {
            let earlier = try Store(directory: scratch.path, options: .quick())
            earlier.append(event(number))
        }
        let store = try Store(directory: scratch.path, options: .quick())
        store.append(event(3))
        try store.flush()
        // As a daemon that was killed leaves it.
        let copy = try Scratch()
        unsafe mkdir(copy.path, 0o700)
        for name in ["egressd.db", "egressd.db-wal"] {
            var content = [UInt8](repeating: 0, count: try scratch.size(of: name))
            let descriptor = unsafe open("\(scratch.path)/\(name)", O_RDONLY)
            try #require(unsafe pread(descriptor, &content, content.count, 0) == content.count)
            close(descriptor)
            if name.hasSuffix("-wal") {
                let header = Array(content.prefix(WriteAheadLog.headerSize))
                #expect(WriteAheadLog.isHeader(header))
                for index in header.indices {
                    var other = header
                    other[index] ^= 1
                    #expect(!WriteAheadLog.isHeader(other), "byte \(index)")
                }
                content[9] ^= 4
            }
            try copy.overwrite(name, at: 0, with: content)
        }
        let next = try Store(directory: copy.path)
        #expect(try copy.setAside().count == 1)
        #expect(try copy.names(in: copy.path).contains { $0.hasPrefix("egressd.db.corrupt-") && $0.hasSuffix("-wal") })
        #expect(try next.events(matching: EventFilter()).map(\.kind) == [.alarm])
        #expect(next.lastSequence == 4, "numbers go on from what the database had without its log")
    }

    /// Each call into SQLite reports damage once: all events are in the old record or in the new one, and none in both.
    @Test func losesNoEventWhenDamageIsMet() throws {
        let faults = Faults()
        var (first, replaced) = (0, 0)
        while true {
            first += 1
            let scratch = try Scratch()
            faults.disarm()
            let store = try Store(directory: scratch.path, options: .quick(batch: 7), faults: faults)
            faults.arm(first: first, Faults.Fault(code: SQLITE_CORRUPT))
            for number in 0..<20 { #expect(store.append(event(number))) }
            try store.flush()
            let calls = faults.calls
            faults.disarm()
            var numbers = try store.events(matching: EventFilter()).numbers
            for name in try scratch.setAside() {
                replaced += 1
                let old = try Database(path: "\(scratch.path)/\(name)", readOnly: false)
                try old.query("SELECT seq, time, body FROM events") { (row) throws(StoreError) in
                    numbers += [EventQuery.event(row)].numbers
                }
                #expect(store.lastSequence == 21)
            }
            #expect(numbers.sorted() == Array(0..<20), "call \(first)")
            #expect(store.health.lost == 0 && store.health.pending == 0)
            if calls < first { break }
        }
        #expect(replaced > 20)
    }

    @Test func goesOnWhenTheFilesAreGone() throws {
        let store = try Store(directory: scratch.path, options: .quick())
        store.append(event(1))
        try store.flush()
        for name in try scratch.names(in: scratch.path) { unsafe unlink("\(scratch.path)/\(name)") }
        store.append(event(2))
        try store.flush()
        let events = try Store.read(directory: scratch.path).events(matching: EventFilter())
        #expect(events.map(\.sequence) == [2, 3])
        #expect(events.first?.kind == .alarm)
        #expect(events.numbers == [2])
        #expect(store.health.replacements == 1)
    }

    @Test func whatAReaderMeetsIsSetAsideToo() throws {
        try fill(scratch)
        let store = try Store(directory: scratch.path, options: .quick())
        let root = try Database(path: "\(scratch.path)/egressd.db", readOnly: true).number(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'events'"
        )
        let garbage = [UInt8](repeating: 0xff, count: 4096)
        try scratch.overwrite(at: Int(try #require(root) - 1) * 4096, with: garbage)
        let filter = EventFilter(since: WallTime(microseconds: 0))
        let error = #expect(throws: StoreError.self) { _ = try store.events(matching: filter) }
        #expect(error?.isDamage == true)
        for _ in 0..<10_000 where store.health.replacements == 0 { usleep(1000) }
        #expect(try store.events(matching: filter).map(\.kind) == [.alarm])
    }

    /// A disk that damages everything is not filled with what it damaged.
    @Test func setsAsideNoMoreThanOneAtATime() throws {
        let faults = Faults()
        let store = try Store(directory: scratch.path, options: .quick(), faults: faults)
        store.append(event(1))
        try store.flush()
        faults.arm(first: 1, Faults.Fault(code: SQLITE_CORRUPT, times: 1))
        store.append(event(2))
        try store.flush()
        faults.arm(first: 1, Faults.Fault(code: SQLITE_NOTADB, times: .max))
        store.append(event(3))
        for _ in 0..<20 { #expect(throws: StoreError.self) { try store.flush() } }
        #expect(try scratch.setAside().count == 1)
        faults.disarm()
        try store.flush()
        #expect(try store.events(matching: EventFilter()).numbers == [2, 3])
    }

    private func request(_ id: Int64) -> RequestRow {
        RequestRow(
            id: id,
            workload: "w",
            kind: .request,
            subject: .address(Destination(address: .v4(1), port: 443, transport: .tcp)),
            count: 1,
            first: WallTime(microseconds: 1),
            last: WallTime(microseconds: id),
            verdict: .deny,
            reason: .unknownDestination,
            executable: nil,
            command: [],
            finding: nil,
        )
    }

    private func pin(_ number: Int) throws -> PinRow {
        PinRow(
            workload: "w",
            name: try DomainName("a\(number).example"),
            address: .v4(1),
            learned: WallTime(microseconds: 1),
            expires: WallTime(microseconds: .max),
        )
    }

    private func grant() -> GrantRow {
        GrantRow(
            workload: "w",
            target: .address(.allV4, port: nil, .tcp),
            granted: WallTime(microseconds: 0),
            duration: .seconds(1),
            reason: "",
            actor: "root",
        )
    }
}
