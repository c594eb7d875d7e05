// fuzz: Model Wire

import Wire

/// libFuzzer's entry: reads the bytes as an SSH banner of both sides, from their first to ever more of them, and stops where
/// an answer changes.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    let client = lastAnswer(bytes, from: .client)
    let server = lastAnswer(bytes, from: .server)
    precondition(client == .refused || client == server, "a client's banner that is not a server's")
    return 0
}

private enum Answer: Equatable {
    case incomplete
    case refused
    case banner(SSHBanner)
}

private func lastAnswer(_ bytes: [UInt8], from side: SSHBanner.Side) -> Answer {
    var last = Answer.incomplete
    for length in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 64)) + [bytes.count] {
        let answer = read(Array(bytes.prefix(length)), from: side)
        precondition(last == .incomplete || answer == last, "more bytes, another answer")
        last = answer
    }
    if case .banner(let banner) = last {
        let text = bytes[banner.range]
        precondition(text.count <= 254 && text.starts(with: Array("SSH-".utf8)), "no banner")
        precondition(text.allSatisfy { (0x20...0x7e).contains($0) }, "odd bytes")
    }
    return last
}

private func read(_ bytes: [UInt8], from side: SSHBanner.Side) -> Answer {
    do {
        return try readBanner(bytes, side).map(Answer.banner) ?? .incomplete
    } catch {
        return .refused
    }
}

// `try?` around a borrowed span crashes the compiler (6.3.1), so the call stands in a function of its own.
private func readBanner(_ bytes: [UInt8], _ side: SSHBanner.Side) throws -> SSHBanner? {
    try SSHBanner.read(bytes.rawBytes, from: side)
}
