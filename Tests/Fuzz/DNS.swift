// fuzz: Model Wire

import Wire

/// libFuzzer's entry: reads the bytes as a DNS message and as a query, and stops where the two or their copies differ.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    let message = try? readMessage(bytes)
    if let query = try? readQuery(bytes) {
        precondition(message?.questions == [query.question], "a query whose question is another one")
        precondition(message?.header == query.header && message?.extension == query.extension, "two headers")
        precondition(query.questionBytes.upperBound <= count, "question out of bounds")
    }
    guard let message else { return 0 }
    let whole = message.encoded(limit: 1 << 24)
    precondition((try? readMessage(whole)) == message, "written, it is another message")
    check(message.encoded(limit: 512), against: message)
    for record in message.answers { precondition(!record.name.text.isEmpty, "a name without text") }
    return 0
}

/// What was cut at 512 bytes is the start of the whole.
private func check(_ bytes: [UInt8], against message: DNSMessage) {
    guard message.questions.count <= 1 else { return }
    precondition(bytes.count <= 512, "over the limit")
    guard let cut = try? readMessage(bytes) else { preconditionFailure("cut where no record ends") }
    precondition(cut.extension == message.extension, "cut without its OPT record")
    precondition(message.answers.starts(with: cut.answers), "other answers")
    precondition(cut.header.isTruncated || cut.answers == message.answers, "answers missing without TC")
}

// `try?` around a borrowed span crashes the compiler (6.3.1), so the calls stand in functions of their own.
private func readMessage(_ bytes: [UInt8]) throws -> DNSMessage { try DNSMessage(bytes.rawBytes) }

private func readQuery(_ bytes: [UInt8]) throws -> DNSQuery { try DNSQuery(bytes.rawBytes) }
