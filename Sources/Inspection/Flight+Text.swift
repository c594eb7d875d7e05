import Model
import Wire

extension Flight {
    /// One that cannot be allowed.
    init(_ application: Application, flaw: String) {
        self.init(application)
        self.flaw = flaw
    }

    /// One of which nothing is known beyond its first bytes.
    init(_ application: Application, excerptOf bytes: RawSpan) {
        self.init(application, excerptOf: bytes, in: 0..<bytes.byteCount)
    }

    /// One with the bytes in a range as its excerpt.
    init(_ application: Application, excerptOf bytes: RawSpan, in range: Range<Int>) {
        self.init(application)
        excerpt = Excerpt.text(bytes, in: range)
    }

    /// What the head of an HTTP request says; its first line is the excerpt.
    init(_ head: HTTPRequestHead, in stream: RawSpan) {
        var end = 0
        while let byte = stream.byte(at: end), byte != UInt8(ascii: "\r") { end += 1 }
        self.init(head.application, excerptOf: stream, in: 0..<end)
        flaw = head.flaw?.description
        switch head.host {
        case .absent: serverName = .absent
        case .name(let name): serverName = .name(name)
        case .address(let address): serverName = .address(address)
        case .unreadable(let text): serverName = .unreadable(text)
        }
    }
}
