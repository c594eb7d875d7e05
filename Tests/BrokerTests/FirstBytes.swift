import Glibc
import Model
import Policy
import Ruleset
import Wire

@testable import Broker

/// What clients say first.
enum FirstBytes {
    static let ssh = Array("SSH-2.0-OpenSSH_9.2p1\r\n".utf8)
    static let stratum = Array(#"{"id":1,"method":"mining.subscribe","params":["x/1"]}"#.utf8) + [10]

    static func http(_ host: String) -> [UInt8] { Array("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n".utf8) }

    /// What a real client sent to `packages.example.org`.
    static func recorded(_ name: String) -> [UInt8] {
        let tests = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        guard let file = unsafe fopen("/\(tests)/InspectionTests/Fixtures/\(name).stream", "r") else { return [] }
        defer { unsafe fclose(file) }
        return unsafe [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
            unsafe count = fread(buffer.baseAddress, 1, buffer.count, file)
        }
    }

    /// A ClientHello in one record (RFC 8446 §4.1.2, §5.1), with or without a server name.
    static func tls(_ name: String?, encrypted: Bool = false, padding: Int = 0) -> [UInt8] {
        let message = hello(name, encrypted: encrypted, padding: padding)
        return [22, 3, 1] + word16(message.count) + message
    }

    /// The handshake message alone.
    static func hello(_ name: String?, encrypted: Bool = false, padding: Int = 0) -> [UInt8] {
        var extensions = part(43, [2, 3, 4]) + part(16, vector([2, 0x68, 0x32]))
        if let name { extensions += part(0, vector([0] + vector(Array(name.utf8)))) }
        if encrypted { extensions += part(0xfe0d, [UInt8](repeating: 0, count: 40)) }
        if padding > 0 { extensions += part(21, [UInt8](repeating: 0, count: padding)) }
        let random = [UInt8](repeating: 7, count: 32)
        let body = [3, 3] + random + [0, 0, 2, 0x13, 1, 1, 0] + vector(extensions)
        return [1, 0] + word16(body.count) + body
    }

    /// An Initial of QUIC version 1 (RFC 9000 §17.2.2) with these bytes of the handshake, sealed by nothing: a datagram.
    static func quic(_ handshake: ArraySlice<UInt8>, at offset: Int, number: UInt8 = 0) -> [UInt8] {
        var frames = [6] + varint(offset) + varint(handshake.count) + handshake
        frames += [UInt8](repeating: 0, count: max(0, 1170 - frames.count))
        let sealed = frames + [UInt8](repeating: 0, count: 16)
        return [0xc0, 0, 0, 0, 1, 8] + [1, 2, 3, 4, 5, 6, 7, 8] + [0, 0] + varint(1 + sealed.count) + [number] + sealed
    }

    /// The one datagram of a small hello.
    static func quic(_ name: String?) -> [UInt8] { quic(hello(name)[...], at: 0) }

    /// A length in two bytes (RFC 9000 §16).
    private static func varint(_ value: Int) -> [UInt8] { [0x40 | UInt8(value >> 8), UInt8(value & 255)] }

    private static func part(_ type: UInt16, _ data: [UInt8]) -> [UInt8] { word16(Int(type)) + vector(data) }

    private static func vector(_ bytes: [UInt8]) -> [UInt8] { word16(bytes.count) + bytes }

    private static func word16(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 255), UInt8(value & 255)] }
}

extension Scenario {
    /// A scenario with one workload whose rules declare protocols: `NAME TARGET PORT PROTOCOL`.
    static func inspecting(
        _ rules: [String],
        deny: [String] = [],
        unknown: UnknownMode = .deny,
        settings: Broker.Settings = Broker.Settings(unidentified: .deny),
    ) throws -> Scenario {
        try Scenario([try inspected(rules, deny: deny, unknown: unknown)], settings: settings)
    }

    /// The workload alone.
    static func inspected(
        _ rules: [String],
        _ name: String = "train",
        deny: [String] = [],
        unknown: UnknownMode = .deny,
    ) throws -> Workload {
        var workload = try workload(name, deny: deny, unknown: unknown)
        workload.allow = try rules.map { text in
            let words = text.split(separator: " ").map(String.init)
            return Rule(
                name: words[0],
                targets: [try Target(words[1])],
                ports: [try PortSpec(words[2])],
                application: words.count > 3 ? ApplicationProtocol(rawValue: words[3]) ?? .any : .any,
            )
        }
        return workload
    }

    /// Has an address pinned to a name, as an answer of the resolver would.
    mutating func pin(_ name: String, _ address: String) throws {
        _ = ask(try Scenario.destination("203.0.113.200", 9))
        guard let assignment = broker.assignments["train"], let address = IPAddress(address) else { return }
        let question = DNSQuestion(name: DNSName(try DomainName(name)), type: address.isV4 ? .a : .aaaa)
        _ = broker.release(assignment.identity, question, [address], timeToLive: 60, at: now)
    }
}
