import Glibc
import Model
import System
import Testing

/// Waits for a connection.
private func accept(on listener: StreamListener) throws -> StreamConnection {
    for _ in 0..<10_000 {
        if let connection = try listener.accept() { return connection }
        usleep(1000)
    }
    throw Errno.timedOut
}

/// Reads this many bytes, fewer when the end or a moment comes first.
private func read(_ count: Int, from connection: StreamConnection) throws -> [UInt8] {
    var bytes: [UInt8] = []
    for _ in 0..<2000 where bytes.count < count {
        guard let read = try connection.read(into: &bytes) else {
            usleep(1000)
            continue
        }
        if read == 0 { break }
    }
    return bytes
}

/// Both ends of a connection.
private func connect(_ address: IPAddress = .v4(0x7f00_0001)) throws -> (client: StreamClient, server: StreamConnection)
{
    let listener = try StreamListener(SocketAddress(address, port: 0))
    let client = try StreamClient(to: listener.address)
    let server = try accept(on: listener)
    #expect(eventually { (try? client.finishConnect()) == true })
    return (client, server)
}

@Suite struct StreamTests {
    @Test(arguments: loopbacks) func bytesGoBothWays(address: IPAddress) throws {
        let (client, server) = try connect(address)
        #expect(server.peer.address == address)
        #expect(server.peer.port != 0)
        #expect(server.mark == 0)
        var nothing: [UInt8] = []
        #expect(try server.read(into: &nothing) == nil)
        #expect(try client.connection.write([1, 2, 3]))
        #expect(try read(3, from: server) == [1, 2, 3])
        #expect(try server.write([4]))
        #expect(try server.write([5, 6]))
        #expect(try read(3, from: client.connection) == [4, 5, 6])
        #expect(client.connection.interest == .read)
        server.close()
        #expect(eventually { (try? client.connection.read(into: &nothing)) == 0 })
    }

    @Test func nobodyWaitsAtFirst() throws {
        let listener = try StreamListener(SocketAddress(.v6(1), port: 0))
        #expect(try listener.accept() == nil)
    }

    @Test func aPortThatIsListenedOnIsTaken() throws {
        let listener = try StreamListener(SocketAddress(.v4(0x7f00_0001), port: 0))
        #expect(throws: Errno.addressInUse) { try StreamListener(listener.address) }
        _ = try StreamListener(SocketAddress(.v6(0), port: listener.address.port))
    }

    @Test func aSuccessorListensWhileConnectionsLinger() throws {
        var listener: StreamListener? = try StreamListener(SocketAddress(.v4(0x7f00_0001), port: 0))
        let address = try #require(listener).address
        let client = try StreamClient(to: address)
        let server = try accept(on: try #require(listener))
        // The side that closes first keeps the port in TIME_WAIT.
        server.close()
        #expect(try read(1, from: client.connection).isEmpty)
        client.connection.close()
        listener = nil
        _ = try StreamListener(address)
    }

    @Test(arguments: loopbacks) func aRefusedConnectionSaysSo(address: IPAddress) throws {
        var listener: StreamListener? = try StreamListener(SocketAddress(address, port: 0))
        let place = try #require(listener).address
        listener = nil
        #expect(throws: Errno.connectionRefused) {
            let client = try StreamClient(to: place)
            for _ in 0..<1000 where try !client.finishConnect() { usleep(1000) }
        }
    }

    @Test func whatIsWrittenBeforeTheConnectionStandsIsKept() throws {
        // A listener whose queue is full leaves the next ones waiting.
        let listener = try StreamListener(SocketAddress(.v4(0x7f00_0001), port: 0), backlog: 0)
        let first = try StreamClient(to: listener.address)
        #expect(eventually { (try? first.finishConnect()) == true })
        let second = try StreamClient(to: listener.address)
        #expect(try !second.finishConnect())
        #expect(try second.connection.write([1, 2]))
        #expect(second.connection.pendingBytes == 2)
        #expect(second.connection.interest == [.read, .write])
        #expect(try !second.connection.flush())
        var nothing: [UInt8] = []
        #expect(try second.connection.read(into: &nothing) == nil)
        _ = try accept(on: listener)
        let server = try accept(on: listener)
        #expect(eventually { (try? second.finishConnect()) == true })
        #expect(eventually { (try? second.connection.flush()) == true })
        #expect(try read(2, from: server) == [1, 2])
    }

    @Test func whatWaitsIsBoundedAndKeepsItsOrder() throws {
        let (client, server) = try connect()
        // Small, so that a flush sends a part of what waits.
        var size: Int32 = 8192
        #expect(unsafe setsockopt(server.descriptor, SOL_SOCKET, SO_SNDBUF, &size, 4) == 0)
        var written: [UInt8] = []
        for index in 0..<100_000 {
            let chunk = [UInt8](repeating: UInt8(truncatingIfNeeded: index), count: 10007)
            guard try server.write(chunk) else { break }
            written += chunk
        }
        #expect(server.pendingBytes > 0)
        #expect(server.pendingBytes <= StreamConnection.writeLimit)
        #expect(server.interest == [.read, .write])
        #expect(try !server.write([UInt8](repeating: 0, count: StreamConnection.writeLimit + 1)))
        var read: [UInt8] = []
        let more = [UInt8](repeating: 255, count: 20011)
        var rounds = 0
        let deadline = Clock.now() + .seconds(30)
        while read.count < written.count, Clock.now() < deadline {
            rounds += 1
            let before = read.count
            _ = try client.connection.read(into: &read, limit: 65536)
            _ = try server.flush()
            // A window that was closed is opened again when the kernel gets to it.
            if read.count == before { usleep(100) }
            // Also while only a part of what waits is sent.
            if rounds < 100, try server.write(more) { written += more }
        }
        // Compared apart: to print how long arrays differ takes minutes.
        let isSame = read == written
        #expect(isSame)
        #expect(try server.flush())
        #expect(server.interest == .read)
    }

    @Test func aPeerThatIsGoneIsAnErrorAndNoSignal() throws {
        let (client, server) = try connect()
        client.connection.close()
        var failure: Errno?
        for _ in 0..<1000 where failure == nil {
            do { _ = try server.write([1]) } catch { failure = error }
            usleep(1000)
        }
        #expect(failure == .brokenPipe || failure == Errno(ECONNRESET))
    }

    @Test func aClosedConnectionIsHarmless() throws {
        let (client, server) = try connect()
        server.close()
        server.close()
        #expect(server.descriptor == -1)
        #expect(server.pendingBytes == 0)
        #expect(try server.flush())
        var nothing: [UInt8] = []
        #expect(throws: Errno(EBADF)) { try server.read(into: &nothing) }
        client.connection.close()
        #expect(throws: Errno(EBADF)) { try client.finishConnect() }
        #expect(throws: Errno(EBADF)) { try client.connection.write([1]) }
    }

    @Test func aLimitOfNothingReadsOneByte() throws {
        let (client, server) = try connect()
        #expect(try client.connection.write([1, 2]))
        var bytes: [UInt8] = []
        #expect(eventually { (try? server.read(into: &bytes, limit: 0)) == 1 })
        #expect(bytes == [1])
    }

    @Test(arguments: loopbacks) func smallWritesGoOutAtOnce(address: IPAddress) throws {
        let (client, server) = try connect(address)
        for descriptor in [client.connection.descriptor, server.descriptor] {
            var value: Int32 = 0
            var length = socklen_t(4)
            let level = Int32(IPPROTO_TCP)
            #expect(unsafe getsockopt(descriptor, level, TCP_NODELAY, &value, &length) == 0)
            #expect(value == 1)
            #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0)
            #expect(fcntl(descriptor, F_GETFL) & O_NONBLOCK != 0)
        }
    }

    @Test func nothingStaysOpen() throws { #expect(try leaksNothing(useEverything)) }

    private func useEverything() throws {
        let listener = try StreamListener(SocketAddress(.v4(0x7f00_0001), port: 0))
        #expect(throws: Errno.addressInUse) { try StreamListener(listener.address) }
        let client = try StreamClient(to: listener.address)
        let server = try accept(on: listener)
        _ = try client.finishConnect()
        _ = try server.write([1])
    }
}
