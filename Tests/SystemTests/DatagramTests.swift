import Glibc
import Model
import System
import Testing

@Suite struct DatagramTests {
    @Test(arguments: loopbacks) func aServerAnswersWhoeverAsks(address: IPAddress) throws {
        let server = try DatagramServer(SocketAddress(address, port: 0))
        #expect(server.address.address == address)
        #expect(server.address.port != 0)
        let clients = try (0..<3).map { _ in try DatagramClient(to: server.address) }
        for (index, client) in clients.enumerated() { try client.send([UInt8(index), 7]) }
        try receive(3, on: server) { bytes, from, _ in
            #expect(from.address == address)
            let question = copy(bytes)
            server.answer(to: from) { $0 += question + [1] }
        }
        server.flush()
        for (index, client) in clients.enumerated() {
            #expect(try receive(on: client) == [UInt8(index), 7, 1])
            #expect(try client.receive() == nil)
        }
        #expect(server.counters == DatagramServer.Counters())
    }

    @Test func nothingWaitsAtFirst() throws {
        let server = try DatagramServer(SocketAddress(.v4(0x7f00_0001), port: 0))
        #expect(try server.receive { _, _, _ in Issue.record("nothing was sent") } == 0)
        server.flush()
        let client = try DatagramClient(to: server.address)
        #expect(try client.receive() == nil)
        #expect(client.localPort != 0)
        #expect(client.localPort != server.address.port)
    }

    @Test func thePortIsNotShared() throws {
        let server = try DatagramServer(SocketAddress(.v4(0x7f00_0001), port: 0))
        #expect(throws: Errno.addressInUse) { try DatagramServer(server.address) }
        // An IPv6 socket leaves the port of IPv4 alone.
        _ = try DatagramServer(SocketAddress(.v6(0), port: server.address.port))
    }

    @Test func clientsHaveRandomPorts() throws {
        let server = try DatagramServer(SocketAddress(.v4(0x7f00_0001), port: 0))
        let clients = try (0..<64).map { _ in try DatagramClient(to: server.address) }
        let ports = clients.map { Int($0.localPort) }
        #expect(Set(ports).count == 64)
        #expect(zip(ports, ports.dropFirst()).count { abs($0 - $1) <= 2 } < 8)
    }

    @Test(arguments: loopbacks) func aRoundHasThirtyTwo(address: IPAddress) throws {
        let server = try DatagramServer(SocketAddress(address, port: 0))
        let client = try DatagramClient(to: server.address)
        for index in 0..<40 { try client.send([UInt8(index)]) }
        var order: [UInt8] = []
        #expect(try server.receive { bytes, _, _ in order += copy(bytes) } == 32)
        #expect(try server.receive { bytes, _, _ in order += copy(bytes) } == 8)
        #expect(order == Array(0..<40))
    }

    @Test func theLongestIsReadAndALongerOneIsCounted() throws {
        let server = try DatagramServer(SocketAddress(.v4(0x7f00_0001), port: 0))
        let client = try DatagramClient(to: server.address)
        for count in [0, 4096, 4097, 65507, 1] { try client.send([UInt8](repeating: 9, count: count)) }
        var lengths: [Int] = []
        try receive(5, on: server) { bytes, _, _ in lengths.append(bytes.byteCount) }
        #expect(lengths == [0, 4096, 1])
        #expect(server.counters.truncated == 2)
    }

    @Test func aClientDropsWhatIsTooLong() throws {
        let server = try DatagramServer(SocketAddress(.v4(0x7f00_0001), port: 0))
        let client = try DatagramClient(to: server.address)
        try client.send([1])
        try receive(1, on: server) { _, from, _ in
            for count in [4097, 4096, 2] {
                server.answer(to: from) { $0 += [UInt8](repeating: 5, count: count) }
            }
        }
        server.flush()
        #expect(try receive(on: client)?.count == 4096)
        #expect(try receive(on: client) == [5, 5])
        #expect(try client.receive() == nil)
    }

    @Test func manyAnswersAreGathered() throws {
        let server = try DatagramServer(SocketAddress(.v4(0x7f00_0001), port: 0))
        let client = try DatagramClient(to: server.address)
        let local = SocketAddress(.v4(0x7f00_0001), port: client.localPort)
        for index in 0..<150 {
            server.answer(to: local) {
                #expect($0.isEmpty)
                if index % 3 != 2 { $0 += [UInt8](repeating: UInt8(index), count: 1 + index) }
            }
        }
        server.flush()
        for index in 0..<150 where index % 3 != 2 {
            #expect(try receive(on: client) == [UInt8](repeating: UInt8(index), count: 1 + index))
        }
        #expect(try client.receive() == nil)
        #expect(server.counters.unsent == 0)
    }

    @Test func whatCannotBeSentIsPassedOver() throws {
        let server = try DatagramServer(SocketAddress(.v4(0x7f00_0001), port: 0))
        let client = try DatagramClient(to: server.address)
        let local = SocketAddress(.v4(0x7f00_0001), port: client.localPort)
        let places = [
            local, SocketAddress(.v4(0x7f00_0001), port: 0), SocketAddress(.v6(1), port: 9), local,
        ]
        for (index, place) in places.enumerated() { server.answer(to: place) { $0.append(UInt8(index)) } }
        server.answer(to: local) { $0 += [UInt8](repeating: 0, count: 65508) }
        server.answer(to: local) { $0 += [UInt8](repeating: 0, count: 70000) }
        server.answer(to: local) { $0 += [4] }
        server.flush()
        #expect(try receive(on: client) == [0])
        #expect(try receive(on: client) == [3])
        #expect(try receive(on: client) == [4])
        #expect(server.counters.unsent == 4)
    }

    @Test func aFlushWithinAnAnswerIsHarmless() throws {
        let server = try DatagramServer(SocketAddress(.v4(0x7f00_0001), port: 0))
        let client = try DatagramClient(to: server.address)
        let local = SocketAddress(.v4(0x7f00_0001), port: client.localPort)
        server.answer(to: local) { outer in
            outer.append(1)
            server.answer(to: local) { $0.append(2) }
            server.flush()
        }
        server.flush()
        #expect(try receive(on: client) == [2])
        #expect(try receive(on: client) == [1])
    }

    @Test(arguments: loopbacks) func aClientIsToldThatNobodyListens(address: IPAddress) throws {
        var server: DatagramServer? = try DatagramServer(SocketAddress(address, port: 0))
        let client = try DatagramClient(to: try #require(server).address)
        server = nil
        try client.send([1])
        // The loopback device delivers the refusal before the call returns, or soon after.
        #expect(throws: Errno.connectionRefused) { _ = try receive(on: client) }
        #expect(try client.receive() == nil)
    }

    @Test(arguments: loopbacks) func aServerIsNotDisturbedByClientsThatLeft(address: IPAddress) throws {
        let server = try DatagramServer(SocketAddress(address, port: 0))
        try DatagramClient(to: server.address).send([1])
        try receive(1, on: server) { _, from, _ in server.answer(to: from) { $0 += [2] } }
        server.flush()
        let client = try DatagramClient(to: server.address)
        try client.send([3])
        try receive(1, on: server) { _, from, _ in server.answer(to: from) { $0 += [4] } }
        server.flush()
        #expect(try receive(on: client) == [4])
    }

    @Test func aClientHearsOnlyItsPeer() throws {
        let server = try DatagramServer(SocketAddress(.v4(0x7f00_0001), port: 0))
        let stranger = try DatagramServer(SocketAddress(.v4(0x7f00_0002), port: server.address.port))
        let client = try DatagramClient(to: server.address)
        let local = SocketAddress(.v4(0x7f00_0001), port: client.localPort)
        stranger.answer(to: local) { $0 += [1] }
        stranger.flush()
        server.answer(to: local) { $0 += [2] }
        server.flush()
        #expect(try receive(on: client) == [2])
        #expect(try client.receive() == nil)
    }

    @Test(arguments: loopbacks) func theMarkOfEachDatagramIsTold(address: IPAddress) throws {
        let server = try DatagramServer(SocketAddress(address, port: 0))
        guard server.tellsMark else { return }
        let marks: [UInt32] = [0x8000_0005, 0, 7]
        let client = try DatagramClient(to: server.address)
        // Setting a mark needs CAP_NET_ADMIN.
        let canMark = setMark(client.descriptor, 0)
        try #require(canMark || getuid() != 0)
        for mark in marks {
            if canMark { #expect(setMark(client.descriptor, mark)) }
            try client.send([1])
        }
        var told: [UInt32?] = []
        try receive(marks.count, on: server) { _, _, mark in told.append(mark) }
        #expect(told == (canMark ? marks : [0, 0, 0]))
    }

    @Test func aLoopIsToldOfDatagrams() throws {
        let loop = try EventLoop()
        let server = try DatagramServer(SocketAddress(.v6(1), port: 0))
        let client = try DatagramClient(to: server.address)
        var answer: [UInt8]?
        let first = try loop.add(server.descriptor, .read) { _ in
            _ = try? server.receive { _, from, _ in server.answer(to: from) { $0 += [8] } }
            server.flush()
        }
        let second = try loop.add(client.descriptor, .read) { _ in
            answer = (try? client.receive()) ?? nil
            loop.stop()
        }
        try client.send([1])
        try loop.run()
        loop.remove(first)
        loop.remove(second)
        #expect(answer == [8])
    }

    @Test func addressesAreWrittenAsUsual() {
        #expect(SocketAddress(.v4(0x7f00_0035), port: 53).description == "127.0.0.53:53")
        #expect(SocketAddress(.v6(1), port: 8053).description == "[::1]:8053")
    }

    @Test func nothingStaysOpen() throws { #expect(try leaksNothing(useEverything)) }

    private func useEverything() throws {
        let server = try DatagramServer(SocketAddress(.v4(0x7f00_0001), port: 0))
        #expect(throws: Errno.addressInUse) { try DatagramServer(server.address) }
        try DatagramClient(to: server.address).send([1])
        // A place that no route may lead to: connecting fails there after the socket was made.
        #expect(throws: Errno.self) { try DatagramClient(to: SocketAddress(.v4(0xffff_ffff), port: 9)) }
    }

    private func setMark(_ socket: Int32, _ mark: UInt32) -> Bool {
        var mark = mark
        return unsafe setsockopt(socket, SOL_SOCKET, SO_MARK, &mark, 4) == 0
    }
}
