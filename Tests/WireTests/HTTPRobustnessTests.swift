import Model
import TestSupport
import Testing

@testable import Wire

/// No bytes make these readers trap, and what is said of a start of them stays said.
@Suite("Readers of foreign bytes, HTTP and SSH")
struct HTTPRobustnessTests {
    /// What a reader says, to be compared.
    private enum Answer: Equatable {
        case incomplete
        case refused
        case head(HTTPRequestHead)
        case banner(SSHBanner)
    }

    private static func http(_ bytes: [UInt8]) -> Answer {
        do { return try bytes.httpHead().map(Answer.head) ?? .incomplete } catch { return .refused }
    }

    private static func ssh(_ bytes: [UInt8], _ side: SSHBanner.Side) -> Answer {
        do { return try bytes.sshBanner(from: side).map(Answer.banner) ?? .incomplete } catch { return .refused }
    }

    /// Reads ever more of the bytes in every way there is; a sentence about what is wrong, or nil.
    static func flaw(of bytes: [UInt8]) -> String? {
        let lengths = Array(stride(from: 0, to: bytes.count, by: max(1, bytes.count / 50))) + [bytes.count]
        let readers: [(String, ([UInt8]) -> Answer, ([UInt8]) -> Bool)] = [
            ("HTTP", http, { $0.mayBeHTTP }), ("SSH", { ssh($0, .client) }, { $0.mayBeSSH() }),
            ("SSH server", { ssh($0, .server) }, { $0.mayBeSSH(from: .server) }),
        ]
        for (name, read, mayBegin) in readers {
            var last = Answer.incomplete
            for length in lengths {
                let start = Array(bytes.prefix(length))
                let answer = read(start)
                guard mayBegin(start) == (answer != .refused) else { return "\(name): may it begin so?" }
                guard last == .incomplete || last == answer else { return "\(name): another answer at \(length)" }
                last = answer
            }
        }
        _ = (Application.ofStream(bytes.raw), Application.ofDatagram(bytes.raw), Application.ofServer(bytes.raw))
        return nil
    }

    private static let samples: [[UInt8]] = [
        HTTPBytes.get, HTTPBytes.http2(HTTPBytes.fields),
        HTTPBytes.head("POST / HTTP/1.1", "Host: [2001:db8::1]:80", "Content-Length: 5", "Upgrade: h2c"),
        HTTPBytes.head("CONNECT a.example:443 HTTP/1.1", "Host: a.example"),
        HTTPBytes.preface + HTTPBytes.frame(4, hex("0003 00000064"))
            + HTTPBytes.frame(1, hex("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff"), flags: 5, stream: 1),
        Array("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n".utf8), Array("hello\r\nSSH-2.0-x\n".utf8),
        Array(#"{"id":1,"method":"mining.subscribe"}"#.utf8),
    ]

    @Test("changed bytes never trap, and more of them never change an answer")
    func survivesMutation() {
        let seed = SplitMix.seed()
        var random = SplitMix(state: seed)
        for round in 0..<2_000 {
            var bytes = Self.samples[round % Self.samples.count]
            for _ in 0...Int.random(in: 0..<3, using: &random) { bytes = bytes.mutated(using: &random) }
            guard let flaw = Self.flaw(of: bytes) else { continue }
            Issue.record("EGRESSD_SEED=\(seed) round \(round): \(flaw) of \(bytes)")
            return
        }
    }

    @Test("a request with one byte changed names no host that it does not hold")
    func inventsNoNames() {
        for place in HTTPBytes.get.indices {
            for byte in UInt8.min...UInt8.max {
                let bytes = HTTPBytes.get.with([byte], at: place)
                guard case .head(let head) = Self.http(bytes), case .name(let name) = head.host else { continue }
                // A dot or a port at the end, other blanks before it: the name is still what stands there.
                let text = String(decoding: bytes, as: UTF8.self).lowercased()
                guard !text.contains(name.text) else { continue }
                Issue.record("\(byte) at \(place): \(name)")
                return
            }
        }
    }
}
