import CLinux
import Glibc
import Model
import Synchronization
import System
import TestSupport
import Testing

/// Whether everybody has let go of what a pipe is written by.
private final class Passed {
    private let end: FileDescriptor
    private let other: FileDescriptor

    init() throws {
        var ends: [Int32] = [-1, -1]
        try #require(unsafe pipe(&ends) == 0)
        end = FileDescriptor(ends[0])
        other = FileDescriptor(ends[1])
    }

    /// Sends a message with the end to write to, twice, and keeps none.
    func send(_ bytes: [UInt8], on socket: Int32) throws {
        let both = [other.rawValue, other.rawValue]
        try Errno.check(unsafe clx_message_send(socket, bytes, bytes.count, both, both.count))
        // The number stays this value's: what it names is the other end now.
        try #require(dup2(end.rawValue, other.rawValue) >= 0)
    }

    var isClosed: Bool {
        var waiting = pollfd(fd: end.rawValue, events: 0, revents: 0)
        return unsafe poll(&waiting, 1, 0) == 1 && waiting.revents & Int16(POLLHUP) != 0
    }
}

/// Answers in place of a helper as a test has it.
private final class FakeHelper: Sendable {
    enum Manner { case serves, hasNone, isSilent }

    let path: String
    let manner = Mutex(Manner.serves)
    /// The connection that is answered, and whether the thread is to end.
    private let connection = Atomic<Int32>(-1)
    private let isOver = Atomic(false)
    private let hasEnded = Atomic(false)

    var socket: Int32 { connection.load(ordering: .acquiring) }

    init(_ name: String) throws {
        path = "/tmp/egressd-test-\(getpid())-\(name).sock"
        let listener = try SocketHelper.listen(at: path).release()
        startThread { [self] in
            var clients: [Int32] = []
            while !isOver.load(ordering: .acquiring) {
                // It blocks: others are served from an event loop.
                var waiting = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
                if unsafe poll(&waiting, 1, 0) == 1, let client = try? UnixSocket.accept(on: listener) {
                    clients.append(client.release())
                    connection.store(clients[clients.count - 1], ordering: .releasing)
                }
                for client in clients { answer(client) }
                usleep(200)
            }
            for descriptor in clients + [listener] { Glibc.close(descriptor) }
            hasEnded.store(true, ordering: .releasing)
        }
    }

    private func answer(_ client: Int32) {
        let manner = manner.withLock(\.self)
        guard manner != .isSilent else { return }
        var bytes = [UInt8](repeating: 0, count: 8)
        var passed = [Int32](repeating: -1, count: Int(CLX_PASSED_MAX))
        var count: Int32 = 0
        var pid: Int32 = 0
        let length = unsafe clx_message_receive(client, &bytes, bytes.count, false, &passed, &count, &pid)
        guard length == 3 else { return }
        let wanted = manner == .hasNone ? 0 : bytes[2]
        let made = (0..<wanted).map { _ in clx_internet_socket(bytes[0] == 6, bytes[1] == 2) }
        bytes[2] = UInt8(made.count)
        _ = unsafe clx_message_send(client, bytes, 3, made, made.count)
        for descriptor in made { Glibc.close(descriptor) }
    }

    func end() {
        isOver.store(true, ordering: .releasing)
        _ = eventually { hasEnded.load(ordering: .acquiring) }
        removeFile(path)
    }
}

@Suite(.serialized) struct SocketHelperTests {
    private static let datagram = InternetSockets.Kind(isV6: false, isStream: false)

    private func withFake(_ name: String, _ body: (FakeHelper, InternetSockets) throws -> Void) throws {
        let helper = try FakeHelper(name)
        defer { helper.end() }
        try body(helper, InternetSockets(helper: helper.path))
    }

    private func seconds(_ body: () -> Void) -> Double {
        let begin = Clock.now()
        body()
        return Double((Clock.now() - begin).nanoseconds) / 1e9
    }

    private func canTake(from sockets: InternetSockets) -> Bool {
        do {
            _ = try sockets.take(Self.datagram)
            return true
        } catch {
            return false
        }
    }

    // MARK: What is passed

    @Test func theHelperKeepsNothingThatIsPassedToIt() throws {
        let path = "/tmp/egressd-test-\(getpid())-helper.sock"
        defer { removeFile(path) }
        let loop = try EventLoop()
        let helper = try SocketHelper(loop, listener: SocketHelper.listen(at: path))
        for bytes: [UInt8] in [[], [4], [4, 1, 1], [4, 1, 1, 1, 1, 1]] {
            let client = try FileDescriptor(checking: unsafe clx_messages_connect(path))
            try loop.runOnce()
            let passed = try Passed()
            try passed.send(bytes, on: client.rawValue)
            #expect(!passed.isClosed)
            try withExtendedLifetime(helper) { try loop.runOnce() }
            #expect(passed.isClosed, "\(bytes)")
        }
    }

    @Test func theDaemonKeepsNothingThatItDidNotAskFor() throws {
        for bytes: [UInt8] in [[], [4], [4, 1, 2]] {
            try withFake("wrong") { helper, sockets in
                let passed = try Passed()
                try passed.send(bytes, on: helper.socket)
                #expect(!sockets.collect())
                #expect(passed.isClosed, "\(bytes)")
            }
        }
    }

    @Test func aMessageThatIsCutIsNoMessage() throws {
        let path = "/tmp/egressd-test-\(getpid())-cut.sock"
        defer { removeFile(path) }
        let listener = try SocketHelper.listen(at: path)
        let client = try FileDescriptor(checking: unsafe clx_messages_connect(path))
        let server = try #require(try UnixSocket.accept(on: listener.rawValue)?.release())
        defer { close(server) }
        let message = try Passed()
        try message.send([1, 2, 3], on: client.rawValue)
        var bytes: [UInt8] = [0, 0]
        var passed = [Int32](repeating: -1, count: Int(CLX_PASSED_MAX))
        var count: Int32 = 7
        var pid: Int32 = 7
        let length = unsafe clx_message_receive(server, &bytes, bytes.count, false, &passed, &count, &pid)
        #expect(length == -Int(EBADMSG))
        #expect(message.isClosed)
        #expect(passed.allSatisfy { $0 == -1 })
        #expect(count == 7 && pid == 7)
    }

    // MARK: A helper that has none

    @Test func aHelperThatHadNoneIsAskedAgain() throws {
        try withFake("none") { helper, sockets in
            helper.manner.withLock { $0 = .hasNone }
            try sockets.connect()
            #expect(sockets.helper == nil)
            #expect(eventually { sockets.collect() && sockets.helper != nil })
            usleep(20_000)
            #expect(sockets.collect() && !sockets.isStocked)
            helper.manner.withLock { $0 = .serves }
            // Nobody else asks for it.
            usleep(20_000)
            #expect(sockets.collect() && !sockets.isStocked)
            try sockets.restock()
            #expect(eventually { sockets.collect() && sockets.isStocked })
        }
    }

    // MARK: A helper that hangs

    @Test(arguments: [false, true]) func nobodyWaitsForAHelperForLong(answers: Bool) throws {
        try withFake("hangs-\(answers)") { helper, sockets in
            helper.manner.withLock { $0 = answers ? .hasNone : .isSilent }
            // More than there are: the last ones are waited for, once.
            let limit = 0.15
            #expect(seconds { for _ in 0..<40 { _ = canTake(from: sockets) } } < limit)
            #expect(throws: Errno.wouldBlock) { _ = try sockets.take(Self.datagram) }
            usleep(1_100_000)
            #expect(seconds { _ = canTake(from: sockets) } < limit)
            helper.manner.withLock { $0 = .serves }
            #expect(eventually { canTake(from: sockets) })
        }
    }
}
