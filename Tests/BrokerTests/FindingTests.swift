import Model
import Policy
import Testing

@testable import Broker

/// What a request looks like.
struct FindingTests {
    @Test(
        arguments: [
            ["ssh", "-N", "-R", "9000:localhost:22", "203.0.113.9"], ["ssh", "-NR", "9000:localhost:22", "h"],
            ["ssh", "-R9000:localhost:22", "h"], ["ssh", "-oRemoteForward=9000 localhost:22", "h"],
            ["ssh", "-o", "RemoteForward 9000 localhost:22", "h"], ["ssh", "-o", "remoteforward=9000", "h"],
            ["ssh", "-o", "ProxyCommand=nc -X h 1", "-R", "1:2:3", "h"], ["ssh", "h", "-fNTR", "1:2:3"],
            ["ssh", "-p", "2222", "-i", "key", "-R", "1:2:3", "h"], ["autossh", "-M", "0", "-R", "1:2:3", "h"],
        ],
    )
    func reverseTunnel(_ command: [String]) {
        let process = ProcessRecord(executable: "/usr/bin/\(command[0])", command: command)
        #expect(Findings.finding(process) == .reverseSSHTunnel)
        #expect(Findings.application(process) == "ssh")
    }

    @Test(
        arguments: [
            ["ssh", "-L", "9000:localhost:22", "h"], ["ssh", "-N", "h"], ["ssh", "-D", "1080", "h"],
            ["ssh", "-o", "ProxyCommand=ssh -R 1:2:3 jump", "h"], ["ssh", "-l", "R", "h"], ["ssh", "-lR", "h"],
            ["ssh", "-i", "-R", "h"], ["ssh"], ["ssh", "-"],
        ],
    )
    func isNone(_ command: [String]) {
        #expect(Findings.finding(ProcessRecord(executable: "/usr/bin/ssh", command: command)) == nil)
    }

    @Test func anotherProgramIsNone() {
        let process = ProcessRecord(executable: "/usr/bin/grep", command: ["grep", "-R", "x"])
        #expect(Findings.finding(process) == nil)
        #expect(Findings.application(process) == nil)
        #expect(Findings.finding(nil) == nil)
    }

    @Test func theProgramIsKnownByItsFileToo() {
        let process = ProcessRecord(executable: "/usr/bin/ssh", command: ["innocent", "-R", "1:2:3", "h"])
        #expect(Findings.finding(process) == .reverseSSHTunnel)
    }

    @Test func aFindingNeverDecides() throws {
        var scenario = try Scenario([try Scenario.workload(allow: ["ssh 203.0.113.9 22"])])
        let command = ["ssh", "-R", "1:2:3", "h"]
        let allowed = scenario.ask(
            try Scenario.destination("203.0.113.9", 22),
            from: Scenario.facts("/train", command: command),
        )
        #expect(allowed.events.map(\.verdict) == [.allow])
        #expect(allowed.events.map(\.finding) == [.reverseSSHTunnel])
        let denied = scenario.ask(
            try Scenario.destination("203.0.113.10", 22),
            from: Scenario.facts("/train", command: command),
        )
        #expect(denied.events.map(\.verdict) == [.deny])
        #expect(denied.events.map(\.finding) == [.reverseSSHTunnel])
        #expect(scenario.broker.requestSummaries.map(\.finding) == [.reverseSSHTunnel])
    }

    @Test func aScanIsToldOfOnce() throws {
        var scenario = try Scenario([try Scenario.workload()])
        func scan(_ count: UInt32, from first: UInt32) -> [Event] {
            (0..<count).flatMap { number in
                let destination = Destination(address: .v4(first + number), port: 22, transport: .tcp)
                return scenario.ask(destination).events.filter { $0.finding == .internalScan }
            }
        }
        let burst = scan(80, from: 0x0a00_0000)
        #expect(burst.count == 1)
        #expect(burst.first?.message == "24 different destinations within 10 s")
        // The next one is another.
        _ = scenario.pass(.seconds(60))
        #expect(scan(23, from: 0x0a01_0000).isEmpty)
        #expect(scan(1, from: 0x0a02_0000).count == 1)
    }

    @Test func fewDestinationsAreNoScan() throws {
        var scenario = try Scenario([try Scenario.workload()])
        for _ in 0..<5 {
            for number: UInt32 in 0..<23 {
                let destination = Destination(address: .v4(0x0a00_0000 + number), port: 22, transport: .tcp)
                #expect(!scenario.ask(destination).events.contains { $0.finding == .internalScan })
            }
        }
    }
}
