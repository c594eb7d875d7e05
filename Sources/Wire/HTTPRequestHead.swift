package import Model

/// The head of a connection's first HTTP request, as far as a verdict needs it.
///
/// HTTP/1.0 and 1.1 (RFC 9112), and HTTP/2 with prior knowledge (RFC 9113 §3.3). Strict where two readers could see two
/// requests: line ends, blanks, folded lines, lengths, hosts. Never traps, whatever the bytes are; a head has at most 16 KiB and
/// 128 fields.
package struct HTTPRequestHead: Hashable, Sendable {
    package enum Version: Hashable, Sendable {
        case http10
        case http11
        case http2
    }

    /// The bytes of a head at most; in HTTP/2 of all frames up to the first request's last, and of its fields.
    package static let limit = 16_384
    /// The fields of a head at most; in HTTP/2 with the pseudo-fields.
    package static let fieldLimit = 128

    /// The version that is asked for; 1.1 where it is neither.
    package let version: Version
    package let method: String
    /// `http`; `httpConnect` for CONNECT and a target with a scheme; `websocket` for what asks to become another protocol.
    package var application = Application.http
    /// The host that is asked for; of CONNECT and a target with a scheme the one in the target.
    package var host = HTTPHost.absent
    /// Why it may not be allowed; nil when it may.
    package var flaw: HTTPError?

    init(_ version: Version, method: String) {
        self.version = version
        self.method = method
    }

    /// Reads the bytes of a stream from its first on; nil as long as the head is not whole.
    ///
    /// Throws when they are not HTTP. What is HTTP beyond doubt (a request line up to its version, HTTP/2's preface) is returned,
    /// with a flaw as soon as there is one; more bytes change neither of these answers. What asks a proxy is returned without
    /// its fields.
    package static func read(_ bytes: RawSpan) throws(HTTPError) -> HTTPRequestHead? {
        switch HTTP2Opening.preface(of: bytes) {
        case .whole: return HTTP2Opening.read(bytes)
        case .start: return nil
        case .none: break
        }
        guard let line = try HTTPRequestLine.read(bytes) else { return nil }
        return line.head(bytes)
    }

    /// Whether the bytes, of which there may be none, can still become a request.
    package static func mayBegin(_ bytes: RawSpan) -> Bool {
        do throws(HTTPError) {
            if HTTP2Opening.preface(of: bytes) == .none { _ = try HTTPRequestLine.read(bytes) }
            return true
        } catch {
            return false
        }
    }
}
