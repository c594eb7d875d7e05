package import Model
package import Wire

/// Says what the first bytes of a client are, as soon as they say it.
///
/// One for a connection or a flow of datagrams, made when its first payload comes. Nothing it is given makes it trap. What it
/// keeps is bounded: a ClientHello that lies in several records or datagrams, at most 16 KiB.
package struct FlightReader: Sendable {
    /// What is known after some bytes.
    package enum Progress: Hashable, Sendable {
        /// They are the start of this protocol's first flight, and more must come; `unknown` while several are possible.
        ///
        /// What is `tls`, `http`, `ssh` or `quic` here turns out to be that, or nothing that is known; of `http` also
        /// `httpConnect` or `websocket` may come.
        case more(candidate: Application)
        /// No byte to come makes a difference.
        case done(Flight)
    }

    /// How many datagrams a flow may need until it is known.
    package static let datagramLimit = StreamReassembler.segmentLimit

    /// The type of the first record of TLS (RFC 8446 §5.1); no text begins with it.
    private static let tlsHandshake: UInt8 = 22

    let cryptography: any Cryptography
    var records = TLSRecords()
    var datagrams: DatagramReader?

    package init(cryptography: any Cryptography) { self.cryptography = cryptography }

    /// Reads the bytes of a TCP stream, from the first on, every time with what came since.
    ///
    /// `done` at once for what no protocol with a reader begins with, and for what is longer than `StreamReassembler.byteLimit`.
    package mutating func read(_ stream: RawSpan) -> Progress {
        guard let first = stream.byte(at: 0) else { return .more(candidate: .unknown) }
        let progress = first == Self.tlsHandshake ? readTLS(stream) : readText(stream)
        guard case .more = progress, stream.byteCount >= StreamReassembler.byteLimit else { return progress }
        return .done(giveUp(stream))
    }

    /// What can be said of a stream from which nothing more comes, or for which nobody waits any longer.
    ///
    /// Never without a flaw: it stopped before its first flight was whole.
    package func giveUp(_ stream: RawSpan) -> Flight {
        guard stream.byteCount > 0 else { return Flight(.unknown, flaw: "nothing was sent") }
        var flight = Flight(Application.ofStream(stream), excerptOf: stream)
        if flight.application == .unknown { flight.application = Self.candidate(of: stream) }
        flight.flaw =
            stream.byteCount < StreamReassembler.byteLimit
            ? "the first flight is not whole" : "a first flight of more than \(StreamReassembler.byteLimit) bytes"
        return flight
    }

    /// SSH and HTTP, which begin with a line of text.
    private func readText(_ stream: RawSpan) -> Progress {
        do throws(SSHError) {
            guard let banner = try SSHBanner.read(stream, from: .client) else {
                return .more(candidate: Self.candidate(of: stream))
            }
            return .done(Flight(.ssh, excerptOf: stream, in: banner.range))
        } catch {
            return readHTTP(stream, error)
        }
    }

    private func readHTTP(_ stream: RawSpan, _ ssh: SSHError) -> Progress {
        do throws(HTTPError) {
            guard let head = try HTTPRequestHead.read(stream) else { return .more(candidate: .http) }
            return .done(Flight(head, in: stream))
        } catch {
            return .done(Self.other(stream, ssh: ssh, http: error))
        }
    }

    /// What a stream is that is neither SSH nor HTTP as they must be.
    private static func other(_ stream: RawSpan, ssh: SSHError, http: HTTPError) -> Flight {
        var flight = Flight(Application.ofStream(stream), excerptOf: stream)
        switch flight.application {
        case .ssh: flight.flaw = ssh.description
        case .http, .httpConnect, .websocket: flight.flaw = http.description
        default: break
        }
        return flight
    }

    /// The one protocol whose start the bytes are; `unknown` when there are several, or none.
    private static func candidate(of stream: RawSpan) -> Application {
        if TLSRecords.mayBegin(stream) { return .tls }
        // Only the first four bytes are a start of both: a method may well be called "SSH", but not "SSH-2.0-…".
        let isSSH = SSHBanner.mayBegin(stream)
        let isHTTP = HTTPRequestHead.mayBegin(stream) && (!isSSH || stream.byteCount <= 4)
        return isSSH == isHTTP ? .unknown : isSSH ? .ssh : .http
    }
}
