import Control
import Glibc
import Model
import System
import TestSupport
import Testing

/// A server and raw clients on one thread, turned by hand.
final class Bench {
    let loop: EventLoop
    let path: String
    var calls: [ControlCall] = []
    private(set) var server: ControlServer?

    init(_ name: String, handler: ((ControlCall) -> Void)? = nil) throws {
        loop = try EventLoop()
        path = "/tmp/egressd-test-\(getpid())-\(name).sock"
        server = try ControlServer(loop: loop, path: path, cgroups: CgroupTree(), version: "1.2.3") { [unowned self] in
            calls.append($0)
            handler?($0)
        }
    }

    /// Lets the server do all that can be done now.
    func turn(_ rounds: Int = 20) throws {
        for _ in 0..<rounds { try loop.runOnce(wait: false) }
    }

    func stop() { server = nil }

    deinit {
        server = nil
        UnixSocket.remove(path + ".lock")
    }
}

/// A client that says what it is told, right or wrong.
final class RawClient {
    let socket: Int32
    private var isOpen = true
    private var input: [UInt8] = []

    init(_ bench: Bench) throws {
        socket = try UnixSocket.connect(to: bench.path).release()
        #expect(fcntl(socket, F_SETFL, O_NONBLOCK) == 0)
    }

    func close() {
        guard isOpen else { return }
        isOpen = false
        Glibc.close(socket)
    }

    func endWriting() { #expect(shutdown(socket, Int32(SHUT_WR)) == 0) }

    deinit { close() }

    /// Sends as much as fits.
    @discardableResult
    func send(_ bytes: [UInt8]) throws -> Int {
        var sent = 0
        while sent < bytes.count, let count = try UnixSocket.send(on: socket, bytes, from: sent) { sent += count }
        return sent
    }

    func send(_ text: String) throws { try send(Array(text.utf8) + [0]) }

    /// The replies that have come; nil last when the server has closed.
    func receive() throws -> [JSON?] {
        var hasEnded = false
        while let count = try UnixSocket.receive(on: socket, into: &input) {
            if count == 0 {
                hasEnded = true
                break
            }
        }
        var messages: [JSON?] = []
        while let end = input.firstIndex(of: 0) {
            messages.append(try JSON.parse(Array(input[..<end]), limit: 64 << 20))
            input.removeSubrange(...end)
        }
        return hasEnded ? messages + [nil] : messages
    }
}

/// A server that runs on a thread of its own until the value goes.
final class RunningServer {
    let path: String
    private let stop: Wakeup
    private let ended: Wakeup

    init(_ name: String, handler: @escaping @Sendable (ControlCall, EventLoop) -> Void) throws {
        let path = "/tmp/egressd-test-\(getpid())-\(name).sock"
        let (stop, ready, ended) = (try Wakeup(), try Wakeup(), try Wakeup())
        startThread {
            defer { ended.signal() }
            do {
                let loop = try EventLoop()
                try loop.add(stop.rawValue, .read) { [unowned loop] _ in loop.stop() }
                let server = try ControlServer(loop: loop, path: path, cgroups: CgroupTree(), version: "1") {
                    handler($0, loop)
                }
                ready.signal()
                try loop.run()
                server.close()
            } catch {
                Issue.record(error)
                ready.signal()
            }
        }
        self.path = path
        self.stop = stop
        self.ended = ended
        wait(for: ready)
    }

    deinit {
        stop.signal()
        wait(for: ended)
        UnixSocket.remove(path + ".lock")
    }
}

private func wait(for wakeup: Wakeup) {
    var waiting = pollfd(fd: wakeup.rawValue, events: Int16(POLLIN), revents: 0)
    _ = unsafe poll(&waiting, 1, 10_000)
}

func openDescriptors() -> Int { ProcessInspector.numbers(in: "/proc/self/fd", limit: 65536).numbers.count }
