import Model
import Wire

extension [UInt8] {
    // `try?` and `catch` around a borrowed span crash the compiler (6.3.1), so the calls stand in functions of their own.

    func clientHello() throws -> TLSClientHello { try TLSClientHello(raw) }

    func read(_ records: inout TLSRecords) throws -> Bool { try records.read(raw) }

    func refusal(_ records: inout TLSRecords) -> TLSError? {
        do throws(TLSError) {
            _ = try records.read(raw)
            return nil
        } catch {
            return error
        }
    }

    func message(of records: borrowing TLSRecords) -> [UInt8] { records.message(in: raw).bytes }

    func serverName() throws -> TLSServerName { try clientHello().serverName(in: raw) }

    func ja4(over transport: Transport = .tcp) throws -> String {
        try clientHello().ja4(in: raw, over: transport, using: PlainHash())
    }

    /// The ClientHello at the start of the stream, nil while it is not whole.
    func tlsMessage() throws -> [UInt8]? {
        var records = TLSRecords()
        return try read(&records) ? message(of: records) : nil
    }

    var mayBeginTLS: Bool { TLSRecords.mayBegin(raw) }

    /// The numbers of a list.
    func numbers(_ list: TLSNumbers) -> [UInt16] { (0..<list.count).compactMap { list.number(at: $0, in: raw) } }

    /// The strings of a list, as text.
    func texts(_ list: TLSStrings) -> [String] {
        var walk = list
        var texts: [String] = []
        while let place = walk.next(in: raw) { texts.append(String(decoding: self[place], as: UTF8.self)) }
        return texts
    }

    /// The types of the extensions, in their order.
    func types(_ list: TLSExtensions) -> [UInt16] {
        var walk = list
        var types: [UInt16] = []
        while let found = walk.next(in: raw) { types.append(found.type) }
        return types
    }
}

extension RawSpan {
    /// A copy of all bytes.
    var bytes: [UInt8] { (0..<byteCount).compactMap { byte(at: $0) } }
}

/// ClientHellos and their parts, written by hand.
enum TLSBytes {
    static func word(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 255), UInt8(value & 255)] }

    static func words(_ values: [Int]) -> [UInt8] { values.flatMap(word) }

    static func vector8(_ bytes: [UInt8]) -> [UInt8] { [UInt8(bytes.count)] + bytes }

    static func vector16(_ bytes: [UInt8]) -> [UInt8] { word(bytes.count) + bytes }

    static func `extension`(_ type: Int, _ data: [UInt8] = []) -> [UInt8] { word(type) + vector16(data) }

    /// A `server_name` with these entries.
    static func serverNames(_ names: [(type: UInt8, name: [UInt8])]) -> [UInt8] {
        `extension`(0, vector16(names.flatMap { [$0.type] + vector16($0.name) }))
    }

    static func serverName(_ name: String) -> [UInt8] { serverNames([(0, Array(name.utf8))]) }

    static func protocols(_ names: [String]) -> [UInt8] {
        `extension`(16, vector16(names.flatMap { vector8(Array($0.utf8)) }))
    }

    static func versions(_ versions: [Int]) -> [UInt8] { `extension`(43, vector8(words(versions))) }

    static func algorithms(_ algorithms: [Int]) -> [UInt8] { `extension`(13, vector16(words(algorithms))) }

    /// A handshake message with its header.
    static func message(_ body: [UInt8]) -> [UInt8] { [1, UInt8(body.count >> 16)] + vector16(body) }

    /// A ClientHello; without `extensions` it ends before them.
    static func hello(
        version: Int = 0x0303,
        session: [UInt8] = [],
        suites: [UInt8] = word(0x1301),
        compressions: [UInt8] = [0],
        extensions: [UInt8]?,
    ) -> [UInt8] {
        let random = [UInt8](repeating: 0x5a, count: 32)
        let start = word(version) + random + vector8(session) + vector16(suites) + vector8(compressions)
        return message(start + (extensions.map(vector16) ?? []))
    }

    /// The message in records of these sizes, the last of which holds what is left.
    static func records(_ message: [UInt8], _ sizes: [Int] = [], version: Int = 0x0301) -> [UInt8] {
        var rest = message[...]
        var stream: [UInt8] = []
        for size in sizes + [message.count] where !rest.isEmpty {
            stream += [22] + word(version) + vector16(Array(rest.prefix(size)))
            rest = rest.dropFirst(size)
        }
        return stream
    }

    /// A ClientHello of TLS 1.3 with a name in mixed case, two protocols and GREASE.
    static let modern = hello(
        session: [UInt8](repeating: 7, count: 32),
        suites: words([0x2a2a, 0x1301, 0x1302, 0xc02b]),
        extensions: `extension`(0x3a3a) + serverName("wWw.Example.ORG") + protocols(["h2", "http/1.1"])
            + algorithms([0x0403, 0x0804]) + versions([0x4a4a, 0x0304, 0x0303]) + `extension`(0xff01, [0])
            + `extension`(41, [1, 2, 3]),
    )

    /// ClientHellos of every form, for mutation; the last has every kind of server name.
    static let all: [[UInt8]] = [
        modern, hello(version: 0x0301, extensions: nil), hello(extensions: []),
        hello(extensions: serverNames([(0, Array("a.example".utf8)), (1, [1]), (0, [])])),
    ]
}
