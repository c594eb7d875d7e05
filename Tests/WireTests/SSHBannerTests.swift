import Testing

@testable import Wire

/// Identification strings of both sides.
@Suite("SSH banners")
struct SSHBannerTests {
    private func banner(_ text: String, _ side: SSHBanner.Side = .client) -> SSHBanner? {
        try? Array(text.utf8).sshBanner(from: side)
    }

    private func refusal(_ text: String, _ side: SSHBanner.Side = .client) -> SSHError? {
        do {
            _ = try Array(text.utf8).sshBanner(from: side)
            return nil
        } catch {
            return error as? SSHError
        }
    }

    @Test(
        "what clients send",
        arguments: [
            "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", "SSH-2.0-Go\r\n", "SSH-2.0-JSCH-0.1.54\n", "SSH-1.99-x\n",
            "SSH-2.0-paramiko_3.4.0\r\nmore",
        ]
    )
    func reads(_ text: String) throws {
        for side in [SSHBanner.Side.client, .server] {
            let found = try #require(banner(text, side))
            let line = text.unicodeScalars.prefix { $0 != "\r" && $0 != "\n" }.count
            #expect(found == SSHBanner(range: 0..<line, isCompatible: text.hasPrefix("SSH-1.99")))
        }
    }

    @Test("cut at any length it is not whole yet")
    func waits() {
        let text = Array("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n".utf8)
        for length in 0..<text.count {
            let start = Array(text.prefix(length))
            #expect((try? start.sshBanner(from: .client)) == .some(nil), "\(length)")
            #expect(start.mayBeSSH(), "\(length)")
        }
    }

    @Test("other first lines of a client", arguments: ["GET ", "ssh-2.0-x", " SSH-2.0-x", "\r\nSSH-2.0-x", "X"])
    func refusesOthers(_ text: String) {
        #expect(refusal(text) == .start)
        #expect(!Array(text.utf8).mayBeSSH())
    }

    @Test("other versions", arguments: ["SSH-1.5-x\n", "SSH-2.1", "SSH-2.0x", "SSH-3", "SSH-1.999-", "SSH-\n"])
    func refusesVersions(_ text: String) { #expect(refusal(text) == .version) }

    @Test(
        "odd bytes",
        arguments: [
            "SSH-2.0-\r\n", "SSH-2.0-\n", "SSH-2.0- x\n", "SSH-2.0-a\u{0}b\n", "SSH-2.0-a\tb\n", "SSH-2.0-a\rb",
            "SSH-2.0-a\r\r\n",
            "SSH-2.0-\u{e9}\n", "SSH-2.0-a\u{7f}\n",
        ]
    )
    func refusesText(_ text: String) { #expect(refusal(text) == .text) }

    @Test("at most 255 bytes with the end")
    func bounds() {
        let text = { "SSH-2.0-" + String(repeating: "x", count: $0 - 8) }
        #expect(banner(text(253) + "\r\n") != nil)
        #expect(refusal(text(254) + "\r\n") == .tooLong)
        #expect(banner(text(254) + "\n") != nil)
        #expect(refusal(text(254)) == nil)
        #expect(refusal(text(255)) == .tooLong)
    }

    @Test("a server may say something before")
    func readsLines() throws {
        let found = try #require(banner("hello\r\n\r\nw\u{f6}rld\nSSH-2.0-x\r\n", .server))
        #expect(found.range == 16..<25)
        #expect(refusal("hello\r\nSSH-2.0-x\r\n") == .start)
        #expect(refusal("hello\r\nSSH-1.5-x\r\n", .server) == .version)
        #expect(refusal("a\u{0}", .server) == .text)
        #expect(Array("220 mail.example ESMTP\r\n".utf8).mayBeSSH(from: .server))
    }

    @Test("but not for ever")
    func boundsLines() {
        let lines = { String(repeating: "x\n", count: $0) }
        #expect(banner(lines(32) + "SSH-2.0-x\n", .server) != nil)
        #expect(refusal(lines(33) + "SSH-2.0-x\n", .server) == .tooLong)
        #expect(refusal(lines(32) + "x", .server) == .tooLong)
        let long = { String(repeating: "x", count: $0) + "\nSSH-2.0-x\n" }
        #expect(banner(long(8_191), .server) != nil)
        #expect(refusal(long(8_192), .server) == .tooLong)
    }
}
