// fuzz: Model Wire ../TestSupport/PlainCryptography.swift

import Model
import Wire

/// libFuzzer's entry: reads the bytes as a stream and as a handshake message, and stops where two ways of reading one differ.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    check(message: bytes)
    let (whole, message) = outcome(of: bytes, step: max(1, count))
    let (grown, copy) = outcome(of: bytes, step: 1)
    precondition(whole == grown && message == copy, "what comes byte by byte is another stream")
    guard whole == .whole else { return 0 }
    precondition(bytes.isBeginning, "a stream that may not begin so")
    precondition((4...TLSRecords.limit).contains(message.count), "a length that may not be")
    check(message: message)
    for size in [1, 7, 300] {
        let split = outcome(of: records(message, of: size), step: 11)
        precondition(split == (.whole, message), "where the records end matters")
    }
    return 0
}

private enum Outcome: Equatable {
    case whole
    case incomplete
    case refused(TLSError)
}

/// What comes of a stream that grows by `step` bytes.
private func outcome(of stream: [UInt8], step: Int) -> (Outcome, [UInt8]) {
    var records = TLSRecords()
    var count = 0
    do {
        repeat {
            count = min(stream.count, count + step)
            if try read(&records, stream, count) { return (.whole, message(of: records, stream)) }
        } while count < stream.count
    } catch {
        guard let error = error as? TLSError else { preconditionFailure("an error of another type") }
        return (.refused(error), [])
    }
    return (.incomplete, [])
}

private func records(_ message: [UInt8], of size: Int) -> [UInt8] {
    var stream: [UInt8] = []
    for start in stride(from: 0, to: message.count, by: size) {
        let part = message[start..<min(message.count, start + size)]
        stream += [22, 3, 3, UInt8(part.count >> 8), UInt8(part.count & 255)]
        stream += part
    }
    return stream
}

/// Everything that a hello says lies in its bytes.
private func check(message bytes: [UInt8]) {
    guard let hello = try? readHello(bytes) else { return }
    precondition(0x0301...0x0304 ~= hello.version, "a version that TLS has not")
    precondition(hello.sessionID.count <= 32 && hello.cipherSuites.range.upperBound <= bytes.count, "out of bounds")
    var walk = hello.extensions
    var types: Set<UInt16> = []
    while let found = walk.next(in: bytes.rawBytes) {
        precondition(types.insert(found.type).inserted && found.data.upperBound <= bytes.count, "a bad extension")
    }
    precondition(types.count == hello.extensionCount, "extensions are missing")
    precondition((hello.serverName(in: bytes.rawBytes) == .absent) == !types.contains(0), "a name from nowhere")
    let text = hello.ja4(in: bytes.rawBytes, over: .tcp, using: PlainCryptography())
    precondition(text.utf8.count == 36 && text.utf8.allSatisfy { 0x21...0x7e ~= $0 }, "a bad fingerprint")
}

extension [UInt8] {
    fileprivate var isBeginning: Bool { TLSRecords.mayBegin(rawBytes) }
}

// `try?` around a borrowed span crashes the compiler (6.3.1), so the calls stand in functions of their own.
private func readHello(_ bytes: [UInt8]) throws -> TLSClientHello { try TLSClientHello(bytes.rawBytes) }

private func read(_ records: inout TLSRecords, _ stream: [UInt8], _ count: Int) throws -> Bool {
    try records.read(stream.rawBytes.extracting(0..<count))
}

private func message(of records: borrowing TLSRecords, _ stream: [UInt8]) -> [UInt8] {
    let bytes = records.message(in: stream.rawBytes)
    return (0..<bytes.byteCount).compactMap { bytes.byte(at: $0) }
}
