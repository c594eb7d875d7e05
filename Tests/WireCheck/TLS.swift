import Crypto
import Model
import Wire

private let cryptography = LibCrypto()

/// What the ClientHello at the start of a stream says, that it is not whole, or why it is none.
func describeTLS(_ stream: [UInt8]) -> JSON {
    var records = TLSRecords()
    do throws(TLSError) {
        guard try records.read(stream.rawBytes) else { return ["incomplete": true] }
        return try describe(copy(of: records.message(in: stream.rawBytes)))
    } catch {
        return ["error": .string(error.description)]
    }
}

private func describe(_ message: [UInt8]) throws(TLSError) -> JSON {
    let hello = try TLSClientHello(message.rawBytes)
    return [
        "message": hex(message),
        "legacyVersion": number(hello.legacyVersion),
        "version": number(hello.version),
        "session": hex(message[hello.sessionID]),
        "suites": numbers(hello.cipherSuites, message),
        "compressions": hex(message[hello.compressions]),
        "extensions": extensions(hello, message),
        "versions": hello.supportedVersions.map { numbers($0, message) } ?? .null,
        "algorithms": numbers(hello.signatureAlgorithms, message),
        "protocols": protocols(hello, message),
        "name": name(hello, message),
        "encrypted": .bool(hello.hasEncryptedHello || hello.hasEncryptedName),
        "ja4": fingerprint(hello, message),
    ]
}

private func numbers(_ list: TLSNumbers, _ message: [UInt8]) -> JSON {
    .array((0..<list.count).compactMap { list.number(at: $0, in: message.rawBytes) }.map { number($0) })
}

private func extensions(_ hello: TLSClientHello, _ message: [UInt8]) -> JSON {
    var walk = hello.extensions
    var list: [JSON] = []
    while let found = walk.next(in: message.rawBytes) { list.append([number(found.type), hex(message[found.data])]) }
    return .array(list)
}

private func protocols(_ hello: TLSClientHello, _ message: [UInt8]) -> JSON {
    var walk = hello.protocols
    var list: [JSON] = []
    while let place = walk.next(in: message.rawBytes) { list.append(hex(message[place])) }
    return .array(list)
}

private func name(_ hello: TLSClientHello, _ message: [UInt8]) -> JSON {
    switch hello.serverName(in: message.rawBytes) {
    case .absent: .null
    case .name(let name): ["name": .string(name.text)]
    case .unreadable(let place): ["unreadable": hex(message[place])]
    }
}

private func fingerprint(_ hello: TLSClientHello, _ message: [UInt8]) -> JSON {
    guard let cryptography else { return .null }
    return .string(hello.ja4(in: message.rawBytes, over: .tcp, using: cryptography))
}

private func copy(of bytes: RawSpan) -> [UInt8] { (0..<bytes.byteCount).compactMap { bytes.byte(at: $0) } }
