import Glibc
import Model
import Testing

@testable import Record

@Suite struct RowTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func open() throws -> Store { try Store(directory: scratch.path, options: .quick()) }

    private func request(_ id: Int64, last: Int64 = 5) -> RequestRow {
        RequestRow(
            id: id,
            workload: "w",
            subject: .address(Destination(address: .v4(0xcb00_7109), port: 22, transport: .tcp)),
            count: 1,
            first: WallTime(microseconds: 1),
            last: WallTime(microseconds: last),
            verdict: .deny,
            reason: .unknownDestination,
        )
    }

    private func grant(for span: Instant.Span = .seconds(3600)) -> GrantRow {
        GrantRow(
            workload: "w",
            target: .address(AddressPrefix(.v4(0xcb00_7109)), port: 22, .tcp),
            granted: WallTime(microseconds: 1_000_000_000),
            duration: span,
            reason: "new mirror",
            actor: "alice",
            request: 7,
        )
    }

    @Test func keepsRequests() throws {
        var full = request(3)
        full.kind = .inbound
        full.subject = .name(try DomainName("x.example"))
        full.executable = "/usr/bin/ssh"
        full.command = ["ssh", "a\nb", ""]
        full.finding = .dnsTunnel
        var newer = request(1)
        newer.count = 2
        do {
            let store = try open()
            #expect(try store.nextRequestNumber() == 1)
            store.upsertRequests([request(1), full])
            store.upsertRequests([newer])
            try store.flush()
            #expect(try store.requests() == [newer, full])
            newer.count = 3
            store.upsertRequests([newer])
        }
        let store = try open()
        #expect(try store.requests() == [newer, full])
        #expect(try store.nextRequestNumber() == 4)
    }

    /// The daemon was killed before the row of a request was written, and its event was told of already.
    @Test func anEventsRequestNumberIsNotGivenAgain() throws {
        func denial(_ request: Int64) -> Event {
            var event = Event(time: WallTime(microseconds: 1), kind: .request)
            event.request = request
            return event
        }
        let store = try open()
        #expect(store.append(denial(7)))
        try store.flush()
        #expect(try store.nextRequestNumber() == 8)
        // Of an older request.
        #expect(store.append(denial(5)))
        try store.flush()
        #expect(try store.nextRequestNumber() == 8)
        store.upsertRequests([request(9)])
        #expect(store.append(denial(8)))
        try store.flush()
        #expect(try store.nextRequestNumber() == 10)
    }

    @Test func keepsWhatStandsForOtherDestinationsAndForgetsWhatItIsTold() throws {
        var others = request(2)
        others.subject = .others
        do {
            let store = try open()
            store.upsertRequests([request(1), others])
            try store.flush()
            #expect(try store.requests() == [request(1), others])
            // Queued together with its last change.
            store.upsertRequests([request(1)])
            others.count = 7
            store.upsertRequests([others], forgotten: [1])
        }
        #expect(try open().requests() == [others])
    }

    @Test func writesRequestsWithoutBeingAskedTo() throws {
        let store = try open()
        store.upsertRequests([request(1)])
        for _ in 0..<10_000 where try store.requests().isEmpty { usleep(1000) }
        #expect(try store.requests() == [request(1)])
    }

    @Test func keepsTheNewestRequestsAndReusesNoNumber() throws {
        let store = try open()
        // The highest number is the oldest row, so it goes first.
        store.upsertRequests((1...6000).map { request($0, last: 20_000 - $0) })
        try store.flush()
        store.upsertRequests((6001...10_050).map { request($0, last: 20_000 - $0) })
        try store.flush()
        #expect(try store.requests().map(\.id) == Array(1...10_000))
        #expect(try store.nextRequestNumber() == 10_051)
        // More than fit at once.
        store.upsertRequests((20_000...30_100).map { request($0, last: 20_000 + $0) })
        try store.flush()
        #expect(try store.requests().map(\.id) == Array(20_101...30_100))
    }

    @Test func keepsGrants() throws {
        var wide = grant()
        let prefix = try #require(AddressPrefix(address: .v6(0x2001_0db8 << 96), length: 32))
        wide.target = .address(prefix, port: nil, Transport(number: 58))
        wide.request = nil
        var named = grant()
        named.target = .name(try DomainName("packages.example"), ports: "443,8443/udp")
        var expected: [GrantRow] = []
        do {
            let store = try open()
            for row in [grant(), wide, named] {
                var stored = row
                stored.id = try store.insertGrant(row)
                expected.append(stored)
            }
            #expect(expected.map(\.id) == [1, 2, 3])
            #expect(try store.grants() == expected)
            try store.setGrants([2, 99], to: .revoked)
        }
        expected[1].state = .revoked
        let store = try open()
        #expect(try store.grants() == expected)
        #expect(try store.grants(state: .active) == [expected[0], expected[2]])
        #expect(try store.grants(state: .expired) == [])
    }

    @Test func givesNoGrantNumberTwice() throws {
        let store = try open()
        var chosen = grant()
        chosen.id = 41
        #expect(try store.insertGrant(chosen) == 41)
        #expect(throws: StoreError.self) { try store.insertGrant(chosen) }
        try store.setGrants([41], to: .expired)
        chosen.id = 20_000
        #expect(try store.insertGrant(chosen) == 20_000)
        // Number 41 was expired and so old that it is forgotten, but not given again.
        #expect(try store.grants().map(\.id) == [20_000])
        #expect(try store.insertGrant(grant()) == 20_001)
    }

    @Test func savesWhatIsLeftAndNeverMore() throws {
        let store = try open()
        let id = try store.insertGrant(grant())
        let other = try store.insertGrant(grant())
        try store.setGrants([other], to: .revoked)
        store.updateRemaining([id: .seconds(100), other: .seconds(1)], at: moment(7))
        try store.flush()
        store.updateRemaining([id: .seconds(200)], at: moment(8))
        try store.flush()
        let rows = try store.grants()
        #expect(rows.map(\.remaining) == [.seconds(100), .seconds(3600)])
        #expect(rows[0].saved == WallTime(microseconds: 8))
        #expect(try store.lastMoment() == moment(8))
    }

    private func moment(_ microseconds: Int64) -> Moment {
        Moment(wall: WallTime(microseconds: microseconds), steady: Instant(nanoseconds: microseconds * 1000))
    }

    @Test func countsDowntimeButNotASetBackClock() {
        var row = grant(for: .seconds(100))
        row.remaining = .seconds(60)
        row.saved = WallTime(microseconds: 50_000_000)
        func left(_ seconds: Int64) -> Instant.Span { row.remaining(at: WallTime(microseconds: seconds * 1_000_000)) }
        #expect(left(50) == .seconds(60))
        #expect(left(60) == .seconds(50))
        #expect(left(110) == .seconds(0))
        #expect(left(1_000_000) == .seconds(0))
        #expect(left(0) == .seconds(60))
        #expect(row.remaining(at: WallTime(microseconds: .max)) == .seconds(0))
        #expect(row.remaining(at: WallTime(microseconds: .min)) == .seconds(60))
        row.saved = WallTime(microseconds: .min)
        #expect(row.remaining(at: WallTime(microseconds: .max)) == .seconds(0))
        row.remaining = .seconds(1000)
        row.saved = WallTime(microseconds: 0)
        #expect(left(0) == .seconds(100))
        row.remaining = Instant.Span(nanoseconds: .max)
        row.duration = row.remaining
        #expect(row.remaining(at: WallTime(microseconds: .max)) == .seconds(0))
        row.remaining = .seconds(-1)
        #expect(left(-1) == .seconds(0))
    }

    @Test func refusesAGrantThatWasTamperedWith() throws {
        let store = try open()
        _ = try store.insertGrant(grant())
        let nameless = "address = NULL, length = NULL, port = NULL, transport = NULL, ports = '443'"
        for change in [
            "port = 70000", "length = 33", "length = 8", "address = 'x'", "transport = -1", "\(nameless), name = ''",
            "\(nameless), name = '10.0.0.1'",
        ] {
            try store.writer.perform { (database) throws(StoreError) in
                try database.transaction(durable: false) { () throws(StoreError) in
                    try database.run(
                        """
                        UPDATE grants SET port = 22, length = 32, address = '203.0.113.9', transport = 6, name = NULL,
                        ports = NULL
                        """
                    )
                }
                try database.run("UPDATE grants SET \(change)")
            }
            let error = #expect(throws: StoreError.self, "\(change)") { try store.grants() }
            #expect(error?.description.contains("grant 1") == true)
        }
    }

    @Test(arguments: [
        "address = NULL", "name = 'a.example'", "ports = '443'", "length = NULL", "transport = NULL",
        "address = NULL, length = NULL, transport = NULL, name = 'a.example', ports = '443'",
        "address = NULL, length = NULL, port = NULL, transport = NULL, name = 'a.example', ports = ''",
        "address = NULL, length = NULL, port = NULL, transport = NULL, name = 'a.example'",
    ])
    func aGrantIsOfAnAddressOrOfAName(change: String) throws {
        let store = try open()
        _ = try store.insertGrant(grant())
        #expect(throws: StoreError.self) {
            try store.writer.perform { (database) throws(StoreError) in
                try database.run("UPDATE grants SET \(change)")
            }
        }
        #expect(try store.grants().count == 1)
    }

    @Test func refusesANamedGrantWithoutPorts() throws {
        let store = try open()
        var named = grant()
        named.target = .name(try DomainName("packages.example"), ports: "")
        #expect(throws: StoreError.self) { try store.insertGrant(named) }
        #expect(try store.grants() == [])
    }

    @Test func keepsWorkloadNumbers() throws {
        func saved(_ store: Store) throws -> [String: String] {
            try store.workloadNumbers().mapValues { "\($0.number).\($0.generation)" }
        }
        do {
            let store = try open()
            #expect(try saved(store) == [:])
            try store.saveWorkloadNumbers(["a": (1, 0), "b": (2, 255), "c": (65535, 7)])
            try store.saveWorkloadNumbers(["a": (2, 1), "b": (1, 0)], deleting: ["c", "nobody"])
            #expect(throws: StoreError.self) { try store.saveWorkloadNumbers(["d": (9, 0), "e": (1, 0)]) }
        }
        #expect(try saved(open()) == ["a": "2.1", "b": "1.0"])
    }

    @Test func keepsTenThousandWorkloadNumbers() throws {
        let store = try open()
        let pairs = (0..<10_000).map { ("workload-\($0)", (number: UInt16($0), generation: UInt8($0 % 256))) }
        try store.saveWorkloadNumbers(Dictionary(uniqueKeysWithValues: pairs))
        #expect(try store.workloadNumbers().count == 10_000)
    }

    @Test func keepsMeta() throws {
        let store = try open()
        #expect(try store.meta("fingerprint") == nil)
        try store.setMeta("fingerprint", "a")
        try store.setMeta("fingerprint", "b")
        try store.setMeta("empty", "")
        #expect(try store.meta("fingerprint") == "b")
        #expect(try store.meta("empty") == "")
        try store.setMeta("fingerprint", nil)
        #expect(try store.meta("fingerprint") == nil)
    }
}
