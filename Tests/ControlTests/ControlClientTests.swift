import Control
import Glibc
import Model
import System
import Testing

@Suite struct ControlClientTests {
    @Test func callsAreAnsweredOneAfterAnother() throws {
        let server = try RunningServer("client") { call, _ in call.reply(["method": .string(call.method)]) }
        let client = try ControlClient(path: server.path)
        #expect(try client.call("Status") == ["method": "Status"])
        #expect(try client.call("io.egressd.Grants", [:]) == ["method": "Grants"])
        #expect(try client.call("org.varlink.service.GetInfo")["vendor"] == "egressd")
    }

    @Test func aLongReplyComesWhole() throws {
        let text = String(repeating: "0123456789", count: 300_000)
        let server = try RunningServer("long") { call, _ in call.reply(["text": .string(text)]) }
        #expect(try ControlClient(path: server.path).call("Log")["text"]?.string == text)
    }

    @Test func aLateReplyIsWaitedFor() throws {
        let server = try RunningServer("late-reply") { call, loop in
            loop.schedule(after: .milliseconds(30)) { call.reply(["late": true]) }
        }
        #expect(try ControlClient(path: server.path).call("Reload") == ["late": true])
    }

    @Test func severalRepliesComeInOrder() throws {
        let server = try RunningServer("several") { call, _ in
            for number in 0..<5 { call.replyContinues(["n": .integer(Int64(number))]) }
            call.reply(["n": 5])
        }
        let client = try ControlClient(path: server.path)
        var numbers: [Int64] = []
        try client.callMore("Log") { reply in
            numbers.append(reply["n"]?.integer ?? -1)
            return true
        }
        #expect(numbers == [0, 1, 2, 3, 4, 5])
        try client.callMore("Log") { reply in
            numbers.append(reply["n"]?.integer ?? -1)
            return numbers.count < 8
        }
        #expect(numbers == [0, 1, 2, 3, 4, 5, 0, 1])
    }

    @Test func errorsKeepTheirKinds() throws {
        let server = try RunningServer("errors") { call, _ in
            switch call.method {
            case "Approve": call.fail(.permissionDenied(reason: "the caller belongs to llm-pretrain"))
            case "Reload": call.fail(.reloadFailed(errors: ["a.yaml:1:1: no", "b.yaml:2:2: no"]))
            default: call.fail(.notFound(what: "grant 7"))
            }
        }
        let client = try ControlClient(path: server.path)
        #expect(throws: ControlError.notPermitted(reason: "the caller belongs to llm-pretrain")) {
            try client.call("Approve")
        }
        let missing = ControlError.failed(name: "io.egressd.NotFound", parameters: ["what": "grant 7"])
        #expect(throws: missing) { try client.call("Revoke") }
        #expect(missing.description == "NotFound: grant 7")
        let reload = ControlError.failed(name: "io.egressd.ReloadFailed", parameters: ["errors": ["x", "y"]])
        #expect(reload.description == "ReloadFailed:\nx\ny")
    }

    @Test func nobodyThereIsUnreachable() throws {
        let path = "/tmp/egressd-test-\(getpid())-nobody.sock"
        #expect(throws: ControlError.unreachable(path: path, reason: "there is no such socket")) {
            _ = try ControlClient(path: path)
        }
        _ = try UnixSocket.listen(at: path, permissions: 0o600, backlog: 1)
        defer { UnixSocket.remove(path) }
        #expect(throws: ControlError.unreachable(path: path, reason: "nobody listens there")) {
            _ = try ControlClient(path: path)
        }
    }

    @Test func whoNeverAnswersIsUnreachable() throws {
        let path = "/tmp/egressd-test-\(getpid())-silent.sock"
        let listener = try UnixSocket.listen(at: path, permissions: 0o600, backlog: 1)
        defer { UnixSocket.remove(path) }
        let client = try ControlClient(path: path)
        #expect(throws: ControlError.unreachable(path: path, reason: "it does not answer")) {
            try client.call("Status", timeout: 20)
        }
        let second = try ControlClient(path: path)
        var accepted: [Int32] = []
        while let next = try UnixSocket.accept(on: listener.rawValue) { accepted.append(next.release()) }
        for socket in accepted { close(socket) }
        #expect(throws: ControlError.self) { try second.call("Status") }
    }

    @Test func oneOfSeveralRepliesIsNotWaitedForForEver() throws {
        let server = try RunningServer("half") { call, _ in call.replyContinues(["n": 1]) }
        let client = try ControlClient(path: server.path)
        var replies = 0
        #expect(throws: ControlError.unreachable(path: server.path, reason: "it does not answer")) {
            try client.callMore("Log", timeout: 20) { _ in
                replies += 1
                return true
            }
        }
        #expect(replies == 1)
    }

    @Test func nobodyWaitsForWhatIsReadNoMore() throws {
        let server = try RunningServer("follow") { call, _ in call.replyContinues(["n": 1]) }
        let client = try ControlClient(path: server.path)
        var pipe: [Int32] = [-1, -1]
        #expect(unsafe Glibc.pipe(&pipe) == 0)
        defer { close(pipe[1]) }
        var replies = 0
        try client.callMore("Log", timeout: 0, whileRead: pipe[1]) { _ in
            replies += 1
            // As head(1) does it, after the first line.
            return close(pipe[0]) == 0
        }
        #expect(replies == 1)
    }

    @Test func anAnswerThatIsNoVarlinkIsMalformed() throws {
        let path = "/tmp/egressd-test-\(getpid())-malformed.sock"
        let listener = try UnixSocket.listen(at: path, permissions: 0o600, backlog: 1)
        defer { UnixSocket.remove(path) }
        let client = try ControlClient(path: path)
        let socket = try #require(try UnixSocket.accept(on: listener.rawValue)?.release())
        defer { close(socket) }
        _ = try UnixSocket.send(on: socket, Array("[1]".utf8) + [0])
        #expect(throws: ControlError.malformed(reason: "a reply is no object")) { try client.call("Status") }
    }
}
