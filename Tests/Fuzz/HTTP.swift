// fuzz: Model Wire

import Model
import Wire

/// libFuzzer's entry: reads the bytes as HTTP, from their first to ever more of them, and stops where an answer changes.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    var last = Answer.incomplete
    for length in stride(from: 0, to: count, by: max(1, count / 64)) + [count] {
        let answer = read(Array(bytes.prefix(length)))
        precondition(last == .incomplete || answer == last, "more bytes, another answer")
        last = answer
    }
    if case .head(let head) = last { check(head, bytes) }
    return 0
}

private enum Answer: Equatable {
    case incomplete
    case refused
    case head(HTTPRequestHead)
}

private func read(_ bytes: [UInt8]) -> Answer {
    do {
        let head = try readHead(bytes)
        precondition(mayBegin(bytes), "read, but it may not begin so")
        return head.map(Answer.head) ?? .incomplete
    } catch {
        precondition(!mayBegin(bytes), "refused, but it may begin so")
        return .refused
    }
}

/// What HTTP/1 names stands in it; HTTP/2 may have it compressed.
private func check(_ head: HTTPRequestHead, _ bytes: [UInt8]) {
    precondition([.http, .httpConnect, .websocket].contains(head.application), "another application")
    precondition(head.flaw != nil || !head.method.isEmpty, "no method")
    guard head.version != .http2, case .name(let name) = head.host else { return }
    let text = bytes.map { (0x41...0x5a).contains($0) ? $0 | 0x20 : $0 }
    let wanted = Array(name.text.utf8)
    let isThere = text.indices.contains { text[$0...].starts(with: wanted) }
    precondition(isThere, "a name that the bytes do not hold")
}

// `try?` around a borrowed span crashes the compiler (6.3.1), so the calls stand in functions of their own.
private func readHead(_ bytes: [UInt8]) throws -> HTTPRequestHead? { try HTTPRequestHead.read(bytes.rawBytes) }

private func mayBegin(_ bytes: [UInt8]) -> Bool { HTTPRequestHead.mayBegin(bytes.rawBytes) }
