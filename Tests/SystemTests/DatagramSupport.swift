import Glibc
import Model
import System
import Testing

/// The loopback address of each family.
let loopbacks = [IPAddress.v4(0x7f00_0001), IPAddress.v6(1)]

/// Copies a span, for comparison.
func copy(_ bytes: RawSpan) -> [UInt8] {
    (0..<bytes.byteCount).map { unsafe bytes.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
}

/// Reads until this many datagrams were read, or a moment has passed.
func receive(
    _ count: Int,
    on server: DatagramServer,
    _ body: (RawSpan, SocketAddress, UInt32?) -> Void = { _, _, _ in },
) throws {
    var read = 0
    for _ in 0..<1000 where read < count {
        let round = try server.receive(body)
        read += round
        if round == 0 { usleep(1000) }
    }
    #expect(read == count)
}

/// The next datagram, or nil when a moment has passed.
func receive(on client: DatagramClient) throws -> [UInt8]? {
    for _ in 0..<1000 {
        if let bytes = try client.receive() { return bytes }
        usleep(1000)
    }
    return nil
}
