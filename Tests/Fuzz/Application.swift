// fuzz: Model Wire

import Model
import Wire

/// libFuzzer's entry: says what the bytes are in every way there is, and stops where it says what a reader denies.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    let stream = Application.ofStream(bytes.rawBytes)
    let datagram = Application.ofDatagram(bytes.rawBytes)
    let server = Application.ofServer(bytes.rawBytes)
    precondition(![.quic, .wireguard].contains(stream), "a stream of datagrams")
    precondition(
        [.quic, .wireguard, .bittorrent, .openvpn, .dns, .unknown].contains(datagram),
        "datagrams of a stream"
    )
    precondition(server == .ssh || server == .unknown, "a server of another kind")
    precondition(count >= 3 || stream == .unknown && datagram == .unknown, "known by less than three bytes")
    if stream == .ssh { precondition(bytes.starts(with: Array("SSH-".utf8)), "SSH that is none") }
    let text = Excerpt.text(bytes)
    precondition(text.utf8.count <= 64 && text.utf8.allSatisfy { (0x20...0x7e).contains($0) }, "an odd excerpt")
    return 0
}
