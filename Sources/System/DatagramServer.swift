import CLinux
import Model

/// A UDP socket that answers those who write to it, many at a time.
///
/// Bound to one address, from which it answers. A datagram costs no allocation once the buffers have grown to what is
/// usual.
package final class DatagramServer {
    /// What was lost here, since the start.
    package struct Counters: Hashable, Sendable {
        /// Datagrams that were longer than 4096 bytes.
        package var truncated: UInt64 = 0
        /// Answers that the kernel did not take.
        package var unsent: UInt64 = 0

        package init() {}
    }

    /// The most bytes of a datagram that is read.
    package static let size = 4096
    /// The most datagrams that are read with one call.
    package static let round = 32
    private static let answerRound = 64
    private static let bufferBytes: Int32 = 4 << 20

    /// Where the socket is bound, with the port that the kernel chose when none was given.
    package let address: SocketAddress
    /// Whether every datagram tells the mark of its packet (SO_RCVMARK).
    ///
    /// False before Linux 5.19; some later kernels want CAP_NET_ADMIN or CAP_NET_RAW for it.
    package let tellsMark: Bool
    package private(set) var counters = Counters()

    private let socket: FileDescriptor
    private var buffer = [UInt8](repeating: 0, count: DatagramServer.size * DatagramServer.round)
    private var received = [clx_datagram](repeating: clx_datagram(), count: DatagramServer.round)
    /// The bytes of the answers, one after the other.
    private var gathered: [UInt8] = []
    private var answers: [clx_datagram] = []
    private var scratch: [UInt8] = []

    /// Binds a socket; a socket for IPv6 takes no IPv4.
    package init(_ address: SocketAddress, from sockets: InternetSockets = InternetSockets()) throws(Errno) {
        let socket = try sockets.take(InternetSockets.Kind(isV6: !address.address.isV4, isStream: false))
        tellsMark = try Self.bind(socket.rawValue, to: address)
        self.address = try SocketAddress(of: socket.rawValue)
        self.socket = socket
        answers.reserveCapacity(Self.answerRound)
    }

    /// Whether the bound socket tells marks.
    private static func bind(_ socket: Int32, to address: SocketAddress) throws(Errno) -> Bool {
        var endpoint = address.endpoint
        try Errno.check(unsafe clx_datagram_bind(socket, &endpoint))
        clx_grow_buffers(socket, bufferBytes)
        return clx_tell_mark(socket) >= 0
    }

    /// Has another socket take the place of this one, under the same number and at the same address.
    ///
    /// An event loop must be told of it anew. What waited is lost.
    package func renew(from sockets: InternetSockets) throws(Errno) {
        let fresh = try sockets.take(InternetSockets.Kind(isV6: !address.address.isV4, isStream: false))
        try Errno.check(clx_take_place(descriptor, fresh.rawValue))
        _ = try Self.bind(descriptor, to: address)
    }

    /// For the event loop: readable when a datagram waits.
    package var descriptor: Int32 { socket.rawValue }

    /// Reads some of what waits and hands each datagram to the caller: how many were read, 0 when none waited.
    ///
    /// Those that were too long are counted in the result and not handed over. The caller may call `answer` and `flush`
    /// meanwhile, not `receive`.
    package func receive(
        _ body: (_ bytes: RawSpan, _ from: SocketAddress, _ mark: UInt32?) -> Void,
    ) throws(Errno) -> Int {
        let result = unsafe clx_receive_datagrams(descriptor, &buffer, Self.size, &received, Int32(Self.round))
        if result == -EAGAIN { return 0 }
        let count = Int(try Errno.check(result))
        for datagram in received.prefix(count) {
            guard !datagram.is_cut else {
                counters.truncated &+= 1
                continue
            }
            let start = Int(datagram.offset)
            let bytes = unsafe buffer.span.bytes.extracting(start..<start + Int(datagram.length))
            body(bytes, SocketAddress(datagram.peer), datagram.has_mark ? datagram.mark : nil)
        }
        return count
    }

    /// Keeps an answer for `flush`, or for the moment when many have gathered.
    ///
    /// `write` appends it to an array that is empty; when it appends nothing, nothing is sent.
    package func answer(to address: SocketAddress, _ write: (inout [UInt8]) -> Void) {
        // Taken out, so that whatever `write` calls finds an array of its own.
        var bytes: [UInt8] = []
        swap(&bytes, &scratch)
        bytes.removeAll(keepingCapacity: true)
        write(&bytes)
        if !bytes.isEmpty { gather(bytes, to: address) }
        swap(&bytes, &scratch)
        if answers.count >= Self.answerRound { flush() }
    }

    private func gather(_ bytes: [UInt8], to address: SocketAddress) {
        guard bytes.count <= UInt16.max else {
            counters.unsent &+= 1
            return
        }
        answers.append(
            clx_datagram(
                peer: address.endpoint,
                offset: UInt32(gathered.count),
                length: UInt32(bytes.count),
                mark: 0,
                has_mark: false,
                is_cut: false,
            ),
        )
        gathered += bytes
    }

    /// Sends the answers that have gathered.
    ///
    /// One that cannot be sent is passed over; when the kernel has no room, the rest is dropped, as a network would.
    package func flush() {
        var next = 0
        while next < answers.count {
            let result = send(from: next)
            guard result <= 0 else {
                next += result
                continue
            }
            let isFull = result == -Int(EAGAIN) || result == -Int(ENOBUFS)
            let lost = isFull ? answers.count - next : 1
            counters.unsent &+= UInt64(lost)
            next += lost
        }
        answers.removeAll(keepingCapacity: true)
        gathered.removeAll(keepingCapacity: true)
    }

    private func send(from first: Int) -> Int {
        unsafe gathered.withUnsafeBytes { bytes in
            unsafe answers.withUnsafeBufferPointer { answers in
                guard let bytes = bytes.baseAddress, let start = answers.baseAddress else { return 0 }
                let count = Int32(answers.count - first)
                return unsafe Int(clx_send_datagrams(socket.rawValue, bytes, start + first, count))
            }
        }
    }
}
