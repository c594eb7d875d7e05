import Crypto
import Model
import Wire

/// Large hellos of browsers, with a post-quantum key share: in one record, in two, its name, its fingerprint.
func measureTLS() -> [Row] {
    guard let cryptography = LibCrypto() else { fatalError("libcrypto has not what is needed") }
    var rows: [Row] = []
    for name in ["chrome131", "firefox133"] {
        let stream = capture("tls/\(name)")
        let halves = inTwoRecords(stream)
        let message = Array(stream.dropFirst(5))
        guard let hello = try? readHello(message) else { fatalError("\(name) is no hello") }
        rows += [
            Row("tls", "\(name), one record", bytes: stream.count) { count in
                for _ in 0..<count { readStream(stream) }
            },
            Row("tls", "\(name), two records", bytes: halves.count) { count in
                for _ in 0..<count { readStream(halves) }
            },
            Row("tls", "\(name), its server name", bytes: message.count) { count in
                for _ in 0..<count { keep(hello.serverName(in: message.rawBytes)) }
            },
            Row("tls", "\(name), its fingerprint", bytes: message.count) { count in
                for _ in 0..<count { keep(hello.ja4(in: message.rawBytes, over: .tcp, using: cryptography)) }
            },
        ]
    }
    return rows
}

/// What is done for each first flight: the stream to the end of the hello, then the hello.
@inline(never)
private func readStream(_ stream: [UInt8]) {
    var records = TLSRecords()
    do throws(TLSError) {
        guard try records.read(stream.rawBytes) else { fatalError("not whole") }
        keep(try TLSClientHello(records.message(in: stream.rawBytes)))
    } catch {
        fatalError("\(error)")
    }
}

// `try?` around a borrowed span crashes the compiler (6.3.1), so the call stands in a function of its own.
private func readHello(_ message: [UInt8]) throws -> TLSClientHello { try TLSClientHello(message.rawBytes) }

private func inTwoRecords(_ stream: [UInt8]) -> [UInt8] {
    let message = stream.dropFirst(5)
    var halves: [UInt8] = []
    for part in [message.prefix(1000), message.dropFirst(1000)] {
        halves += [22, 3, 1, UInt8(part.count >> 8), UInt8(part.count & 255)]
        halves += part
    }
    return halves
}

/// Has the optimiser believe that the value is needed.
@inline(never)
private func keep<Value>(_ value: borrowing Value) {}
