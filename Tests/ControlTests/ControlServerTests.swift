import Control
import Glibc
import Model
import System
import TestSupport
import Testing

@Suite struct ControlServerTests {
    private let status = #"{"method":"io.egressd.Status"}"#

    @Test func aCallCarriesWhoCallsAndIsAnswered() throws {
        let bench = try Bench("call") { $0.reply(["mode": "enforce"]) }
        let client = try RawClient(bench)
        try client.send(#"{"method":"io.egressd.Approve","parameters":{"request":7,"seconds":60}}"#)
        try bench.turn()
        #expect(try client.receive() == [["parameters": ["mode": "enforce"]]])
        let call = try #require(bench.calls.first)
        #expect(call.interface == "io.egressd")
        #expect(call.method == "Approve")
        #expect(call.parameters["request"]?.integer == 7)
        #expect(!call.wantsMore)
        #expect(!call.isOpen)
        #expect(call.peer.pid == getpid())
        #expect(call.peer.uid == geteuid())
        #expect(call.peer.gid == getegid())
        let own = try CgroupTree().path(ofProcess: getpid())
        #expect(own != nil)
        #expect(call.cgroup == own)
        #expect(call.peer.cgroupAtConnect == own)
        #expect(call.peer.isAlive)
    }

    @Test func everybodyMayOpenTheSocket() throws {
        let bench = try Bench("mode")
        var file = stat()
        #expect(unsafe stat(bench.path, &file) == 0)
        #expect(file.st_mode & 0o777 == 0o666)
    }

    @Test func messagesMayComeInPiecesAndTogether() throws {
        let bench = try Bench("pieces") { $0.reply($0.parameters) }
        let client = try RawClient(bench)
        let message = Array(#"{"method":"io.egressd.Log","parameters":{"workload":"é"}}"#.utf8) + [0]
        for byte in message {
            try client.send([byte])
            try bench.turn(2)
        }
        #expect(try client.receive() == [["parameters": ["workload": "é"]]])
        try client.send(message + message + message.prefix(10))
        try bench.turn()
        #expect(try client.receive().count == 2)
        try client.send(Array(message.dropFirst(10)))
        try bench.turn()
        #expect(try client.receive().count == 1)
    }

    @Test func answersKeepTheOrderOfTheCalls() throws {
        let bench = try Bench("order")
        let client = try RawClient(bench)
        for number in 1...3 { try client.send(#"{"method":"io.egressd.Grants","parameters":{"n":\#(number)}}"#) }
        try bench.turn()
        // The second is not handed out before the first is answered.
        #expect(bench.calls.count == 1)
        for number in 1...3 {
            try #require(bench.calls.count == number)
            bench.calls[number - 1].reply(bench.calls[number - 1].parameters)
            try bench.turn()
        }
        #expect(try client.receive() == (1...3).map { ["parameters": ["n": .integer($0)]] })
    }

    @Test func aFollowerGetsSeveralReplies() throws {
        let bench = try Bench("more")
        let client = try RawClient(bench)
        try client.send(#"{"method":"io.egressd.Log","more":true}"#)
        try bench.turn()
        let call = try #require(bench.calls.first)
        #expect(call.wantsMore)
        #expect(call.replyContinues(["events": [1]]))
        #expect(call.replyContinues(["events": [2]]))
        call.reply(["events": []])
        #expect(!call.replyContinues(["events": [3]]))
        call.reply()
        try bench.turn()
        #expect(
            try client.receive() == [
                ["parameters": ["events": [1]], "continues": true], ["parameters": ["events": [2]], "continues": true],
                ["parameters": ["events": []]],
            ],
        )
    }

    @Test func whoAskedForOneReplyGetsOne() throws {
        let bench = try Bench("once")
        let client = try RawClient(bench)
        try client.send(status)
        try bench.turn()
        #expect(!bench.calls[0].replyContinues([:]))
        bench.calls[0].fail(.notFound(what: "request 9"))
        try bench.turn()
        #expect(
            try client.receive() == [["error": "io.egressd.NotFound", "parameters": ["what": "request 9"]]],
        )
    }

    @Test func aFollowerThatLeavesIsTold() throws {
        let bench = try Bench("leave")
        let client = try RawClient(bench)
        try client.send(#"{"method":"io.egressd.Log","more":true}"#)
        try bench.turn()
        var closed = 0
        bench.calls[0].onClose = { closed += 1 }
        client.close()
        try bench.turn()
        #expect(closed == 1)
        #expect(!bench.calls[0].isOpen)
        #expect(!bench.calls[0].replyContinues([:]))
        #expect(bench.server?.clientCount == 0)
    }

    @Test func anAnsweredCallIsNotToldOfItsClientsEnd() throws {
        let bench = try Bench("answered")
        let client = try RawClient(bench)
        try client.send(status)
        try bench.turn()
        bench.calls[0].onClose = { Issue.record("the call was answered") }
        bench.calls[0].reply()
        client.close()
        try bench.turn()
        #expect(bench.server?.clientCount == 0)
    }

    @Test func whoOnlyEndedWritingStillGetsTheAnswer() throws {
        let bench = try Bench("half")
        let client = try RawClient(bench)
        try client.send(status)
        client.endWriting()
        try bench.turn()
        #expect(try client.receive() == [])
        bench.calls[0].reply(["late": true])
        try bench.turn()
        #expect(try client.receive() == [["parameters": ["late": true]], nil])
    }

    @Test func aOneWayCallIsHeardAndNotAnswered() throws {
        let bench = try Bench("oneway") { $0.reply(["never": "sent"]) }
        let client = try RawClient(bench)
        try client.send(#"{"method":"io.egressd.Reload","oneway":true}"#)
        try client.send(#"{"method":"io.egressd.Missing","oneway":true}"#)
        try client.send(status)
        try bench.turn()
        #expect(try client.receive().count == 1)
        try client.send(#"{"method":"io.egressd.Reload","oneway":true}"#)
        client.close()
        try bench.turn()
        #expect(bench.calls.map(\.method) == ["Reload", "Status", "Reload"])
    }

    @Test(arguments: [
        "", "{", "[]", "7", "{}", #"{"method":7}"#, #"{"method":"io.egressd.Status","parameters":[]}"#, "\u{1}\u{2}",
        #"{"method":"io.egressd.Status"}x"#,
    ])
    func junkEndsTheConnection(text: String) throws {
        let bench = try Bench("junk-\(abs(text.hashValue))") { $0.reply() }
        let client = try RawClient(bench)
        try client.send(text)
        try client.send(status)
        try bench.turn()
        #expect(try client.receive() == [nil])
        #expect(bench.calls.isEmpty)
        #expect(bench.server?.clientCount == 0)
    }

    @Test func aMessageWithoutEndIsNotReadForEver() throws {
        let bench = try Bench("endless")
        let client = try RawClient(bench)
        let piece = [UInt8](repeating: UInt8(ascii: " "), count: 1 << 16)
        var sent = 0
        for _ in 0..<64 where bench.server?.clientCount != 0 || sent == 0 {
            sent += (try? client.send(piece)) ?? 0
            try bench.turn(4)
        }
        #expect(bench.server?.clientCount == 0)
        #expect(sent < 2 << 20)
        #expect(bench.calls.isEmpty)
    }

    @Test func aSlowReaderIsKeptToItsLimit() throws {
        let bench = try Bench("slow")
        let client = try RawClient(bench)
        try client.send(#"{"method":"io.egressd.Log","more":true}"#)
        try bench.turn()
        let call = bench.calls[0]
        var closed = false
        call.onClose = { closed = true }
        let event: JSON = ["text": .string(String(repeating: "x", count: 1 << 16))]
        var sent = 0
        while sent < 1000, call.replyContinues(event) {
            sent += 1
            try bench.turn(1)
            #expect(call.pendingBytes <= 4 << 20)
        }
        try bench.turn()
        #expect(sent > 50)
        #expect(sent < 1000)
        #expect(closed)
        #expect(bench.server?.clientCount == 0)
    }

    @Test func aReaderThatCatchesUpMissesNothing() throws {
        let bench = try Bench("late")
        let client = try RawClient(bench)
        try client.send(#"{"method":"io.egressd.Log","more":true}"#)
        try bench.turn()
        let text = String(repeating: "x", count: 1 << 14)
        for number in 0..<100 {
            #expect(bench.calls[0].replyContinues(["n": .integer(Int64(number)), "text": .string(text)]))
        }
        bench.calls[0].reply()
        #expect(bench.loop.registrationCount == 2)
        var numbers: [Int64] = []
        for _ in 0..<200 {
            numbers += try client.receive().compactMap { $0?["parameters"]?["n"]?.integer }
            try bench.turn(1)
        }
        #expect(numbers == (0..<100).map(Int64.init))
        #expect(bench.server?.clientCount == 1)
    }

    @Test func manyPipelinedCallsAreAllAnswered() throws {
        let bench = try Bench("many") { $0.reply($0.parameters) }
        let client = try RawClient(bench)
        let calls: [UInt8] = (0..<500).flatMap { (number: Int) -> [UInt8] in
            Array(#"{"method":"io.egressd.Grants","parameters":{"n":\#(number)}}"#.utf8) + [0]
        }
        #expect(try client.send(calls) == calls.count)
        var numbers: [Int64] = []
        for _ in 0..<50 {
            try bench.turn(2)
            numbers += try client.receive().compactMap { $0?["parameters"]?["n"]?.integer }
        }
        #expect(numbers == (0..<500).map(Int64.init))
    }

    @Test func idleClientsMakeRoomForNewOnes() throws {
        let bench = try Bench("room") { if $0.method != "Log" { $0.reply() } }
        let follower = try RawClient(bench)
        try follower.send(#"{"method":"io.egressd.Log","more":true}"#)
        try bench.turn()
        var idle: [RawClient] = []
        for _ in 0..<ControlServer.clientLimit {
            idle.append(try RawClient(bench))
            try bench.turn(2)
        }
        #expect(bench.server?.clientCount == ControlServer.clientLimit)
        let operatorClient = try RawClient(bench)
        try operatorClient.send(status)
        try bench.turn()
        #expect(try operatorClient.receive().count == 1)
        // The oldest of the idle went, and not the one that waits for an answer.
        #expect(try idle[0].receive() == [nil])
        #expect(bench.calls[0].isOpen)
    }

    @Test func aSecondServerIsRefusedAndAStaleSocketIsNot() throws {
        let bench = try Bench("twice")
        #expect(throws: ControlError.self) { _ = try Bench("twice") }
        #expect(exists(bench.path))
        bench.stop()
        #expect(!exists(bench.path))
        // What a killed server leaves: a socket that refuses.
        _ = try UnixSocket.listen(at: bench.path, permissions: 0o600, backlog: 1)
        #expect(exists(bench.path))
        let second = try Bench("twice") { $0.reply() }
        let client = try RawClient(second)
        try client.send(status)
        try second.turn()
        #expect(try client.receive().count == 1)
    }

    @Test func aFileThatIsNoSocketIsLeftAlone() throws {
        let path = "/tmp/egressd-test-\(getpid())-file.sock"
        _ = try FileDescriptor.open(path, [.readWrite, .create])
        defer { UnixSocket.remove(path) }
        #expect(throws: ControlError.self) { _ = try Bench("file") }
        #expect(exists(path))
        UnixSocket.remove(path + ".lock")
    }

    @Test func nothingStaysOpen() throws {
        try serveOnce(0)
        let before = openDescriptors()
        for number in 1...100 { try serveOnce(number) }
        // Other suites run beside this one; a leak here would be at least 100 for each kind.
        #expect(eventually { openDescriptors() < before + 90 })
    }

    private func serveOnce(_ number: Int) throws {
        let bench = try Bench("leak-\(number)") { if $0.method != "Log" { $0.reply() } }
        let clients = try (0..<3).map { _ in try RawClient(bench) }
        for client in clients { try client.send(status) }
        try clients[0].send(#"{"method":"io.egressd.Log","more":true}"#)
        try bench.turn()
        clients[1].close()
        try bench.turn(3)
        bench.stop()
    }

    private func exists(_ path: String) -> Bool { UnixSocket.identity(of: path) != nil }
}
