import Glibc
import Model
import Testing

@testable import Record

/// A database that the first version of egressd wrote.
@Suite struct MigrationTests {
    private let faults = Faults()

    /// The tables of version 1 as they were, and a row of each.
    ///
    /// The highest request and grant are gone, and their numbers must not come back.
    private static let first = """
        PRAGMA journal_mode=WAL;
        BEGIN;
        CREATE TABLE events (
            seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, kind TEXT NOT NULL, verdict TEXT, workload TEXT,
            body TEXT NOT NULL
        ) STRICT;
        CREATE INDEX events_time ON events (time);
        CREATE INDEX events_workload ON events (workload, seq) WHERE workload IS NOT NULL;
        CREATE TABLE requests (
            id INTEGER PRIMARY KEY AUTOINCREMENT, workload TEXT NOT NULL, kind TEXT NOT NULL, address TEXT NOT NULL,
            port INTEGER NOT NULL, transport INTEGER NOT NULL, name TEXT, count INTEGER NOT NULL,
            first INTEGER NOT NULL, last INTEGER NOT NULL, verdict TEXT NOT NULL, reason TEXT NOT NULL,
            executable TEXT, command TEXT NOT NULL, finding TEXT
        ) STRICT;
        CREATE INDEX requests_last ON requests (last);
        CREATE TABLE grants (
            id INTEGER PRIMARY KEY AUTOINCREMENT, workload TEXT NOT NULL, address TEXT NOT NULL,
            length INTEGER NOT NULL, port INTEGER, transport INTEGER NOT NULL, granted INTEGER NOT NULL,
            duration INTEGER NOT NULL, remaining INTEGER NOT NULL, saved INTEGER NOT NULL, reason TEXT NOT NULL,
            actor TEXT NOT NULL, request INTEGER, state TEXT NOT NULL CHECK (state IN ('active', 'revoked', 'expired'))
        ) STRICT;
        CREATE INDEX grants_state ON grants (state, id);
        CREATE TABLE workloads (
            name TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE CHECK (number BETWEEN 0 AND 65535),
            generation INTEGER NOT NULL CHECK (generation BETWEEN 0 AND 255)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
        PRAGMA user_version=1;
        INSERT INTO events VALUES (1, 1000007, 'request', 'deny', 'w',
            '{"seq":1,"time":"1970-01-01T00:00:01.000007Z","kind":"request","verdict":"deny","workload":"w","message":"7"}');
        INSERT INTO workloads VALUES ('w', 5, 6);
        INSERT INTO meta VALUES ('flushed', 'yes');
        """

    private static let rows = """
        INSERT INTO requests VALUES (3, 'w', 'inbound', '2001:db8::1', 22, 6, NULL, 2, 3, 4, 'deny',
            'unknown-destination', '/usr/bin/ssh', '["ssh","a"]', 'reverse-ssh-tunnel');
        INSERT INTO requests VALUES (4, 'w', 'request', '203.0.113.9', 0, 1, 'x.example', 1, 3, 4, 'hold',
            'unknown-destination', NULL, '[]', NULL);
        INSERT INTO requests VALUES (9, 'w', 'request', '203.0.113.9', 1, 6, NULL, 1, 3, 4, 'deny',
            'unknown-destination', NULL, '[]', NULL);
        DELETE FROM requests WHERE id = 9;
        INSERT INTO grants VALUES (2, 'w', '203.0.113.0', 24, NULL, 17, 10, 2000, 1000, 11, 'why', 'alice', 3, 'active');
        INSERT INTO grants VALUES (7, 'w', '203.0.113.0', 24, 22, 6, 10, 2000, 1000, 11, '', 'bob', NULL, 'revoked');
        DELETE FROM grants WHERE id = 7;
        """

    private func write(_ sql: String, in scratch: Scratch) throws {
        unsafe mkdir(scratch.path, 0o700)
        Glibc.close(try StateDirectory.openPrivate("\(scratch.path)/egressd.db"))
        try Database(path: "\(scratch.path)/egressd.db", readOnly: false).execute(sql + "COMMIT;")
    }

    private func open(_ scratch: Scratch, faults: Faults? = nil) throws -> Store {
        try Store(directory: scratch.path, options: .quick(), faults: faults)
    }

    private func expectRows(of store: Store) throws {
        #expect(try store.events(matching: EventFilter()).numbers == [7])
        #expect(try store.lastSequence == 1 && store.workloadNumbers()["w"]?.number == 5)
        let requests = try store.requests()
        #expect(
            requests == [
                RequestRow(
                    id: 3,
                    workload: "w",
                    kind: .inbound,
                    subject: .address(
                        Destination(address: .v6(0x2001_0db8 << 96 | 1), port: 22, transport: .tcp)
                    ),
                    count: 2,
                    first: WallTime(microseconds: 3),
                    last: WallTime(microseconds: 4),
                    verdict: .deny,
                    reason: .unknownDestination,
                    executable: "/usr/bin/ssh",
                    command: ["ssh", "a"],
                    finding: .reverseSSHTunnel,
                ),
                RequestRow(
                    id: 4,
                    workload: "w",
                    subject: .address(
                        Destination(address: .v4(0xcb00_7109), port: 0, transport: Transport(number: 1))
                    ),
                    count: 1,
                    first: WallTime(microseconds: 3),
                    last: WallTime(microseconds: 4),
                    verdict: .hold,
                    reason: .unknownDestination,
                ),
            ],
        )
        let grant = try #require(store.grants().first)
        let prefix = try #require(AddressPrefix(address: .v4(0xcb00_7100), length: 24))
        #expect(grant.target == .address(prefix, port: nil, .udp))
        #expect(grant.id == 2 && grant.workload == "w" && grant.granted == WallTime(microseconds: 10))
        #expect(grant.duration.nanoseconds == 2000 && grant.remaining.nanoseconds == 1000)
        #expect(grant.saved == WallTime(microseconds: 11) && grant.reason == "why" && grant.actor == "alice")
        #expect(grant.request == 3 && grant.state == .active)
    }

    @Test func keepsEverything() throws {
        let scratch = try Scratch()
        try write(Self.first + Self.rows, in: scratch)
        for _ in 0..<2 {
            let store = try open(scratch)
            try expectRows(of: store)
            #expect(try store.nextRequestNumber() == 10)
            #expect(try store.pins() == [])
        }
    }

    @Test func goesOnWithNames() throws {
        let scratch = try Scratch()
        try write(Self.first + Self.rows, in: scratch)
        let name = try DomainName("packages.example")
        let store = try open(scratch)
        var request = try #require(store.requests().first)
        request.id = 10
        request.subject = .name(name)
        store.upsertRequests([request])
        var named = event(8)
        named.name = name.text
        store.append(named)
        var grant = try #require(store.grants().first)
        grant.id = 0
        grant.target = .name(name, ports: "443")
        // Number 7 was given once.
        #expect(try store.insertGrant(grant) == 8)
        try store.flush()
        #expect(try store.requests().last == request)
        #expect(try store.grants().last?.target == .name(name, ports: "443"))
        #expect(try store.events(matching: EventFilter(name: name.text)).numbers == [8])
    }

    @Test func takesARecordWithoutRows() throws {
        let scratch = try Scratch()
        try write(Self.first, in: scratch)
        let store = try open(scratch)
        #expect(try store.nextRequestNumber() == 1)
        #expect(try store.requests() == [] && store.grants() == [])
    }

    /// The tables are those of a new database, whatever way they came about.
    @Test func endsWithTheTablesOfANewRecord() throws {
        func tables(of store: Store) throws -> [String] {
            try store.writer.perform { (database) throws(StoreError) in
                var found: [String] = []
                try database.query("SELECT name, type FROM sqlite_schema") { (row) throws(StoreError) in
                    found.append("\(row.text(0) ?? "") \(row.text(1) ?? "")")
                }
                try database.query(
                    """
                    SELECT m.name, c.name, c.type, c."notnull", c.pk FROM sqlite_schema m, pragma_table_info(m.name) c
                    """
                ) { (row) throws(StoreError) in
                    found.append((0..<5).map { row.text($0) ?? "" }.joined(separator: " "))
                }
                return found.sorted()
            }
        }
        let (old, new) = (try Scratch(), try Scratch())
        try write(Self.first + Self.rows, in: old)
        let expected = try tables(of: open(new))
        #expect(expected.contains("pins_expires index"))
        #expect(try tables(of: open(old)) == expected)
    }

    /// Whatever fails, and when: the old record is as it was, or the new one is whole.
    @Test(arguments: [Faults.Fault(), Faults.Fault(completes: true), Faults.Fault(code: 13, times: 3)])
    func losesNothingWhenItFails(fault: Faults.Fault) throws {
        let trial = try Scratch()
        try write(Self.first + Self.rows, in: trial)
        _ = try open(trial, faults: faults)
        let calls = faults.calls
        #expect(calls > 15)
        for first in 1...calls {
            let scratch = try Scratch()
            try write(Self.first + Self.rows, in: scratch)
            faults.arm(first: first, fault)
            _ = try? open(scratch, faults: faults)
            faults.disarm()
            let store = try open(scratch)
            try expectRows(of: store)
            #expect(try store.nextRequestNumber() == 10)
        }
    }
}
