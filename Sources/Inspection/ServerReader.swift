import Model
import Wire

/// Says what a server is that speaks before its client has said a word: SSH's, or something else.
package enum ServerReader {
    /// Reads the bytes of the server's stream, from the first on, every time with what came since.
    ///
    /// The candidate is `ssh` as long as an identification string is under way, `unknown` while only lines that may come before
    /// one are there (RFC 4253 §4.2).
    package static func read(_ stream: RawSpan) -> FlightReader.Progress {
        guard stream.byteCount > 0 else { return .more(candidate: .unknown) }
        do throws(SSHError) {
            guard let banner = try SSHBanner.read(stream, from: .server) else {
                let isSSH = SSHBanner.mayBegin(stream, from: .client)
                if stream.byteCount >= StreamReassembler.byteLimit { return .done(giveUp(stream)) }
                return .more(candidate: isSSH ? .ssh : .unknown)
            }
            return .done(Flight(.ssh, excerptOf: stream, in: banner.range))
        } catch {
            var flight = Flight(Application.ofServer(stream), excerptOf: stream)
            if flight.application == .ssh { flight.flaw = error.description }
            return .done(flight)
        }
    }

    /// What can be said of a server from which nothing more comes; never without a flaw.
    package static func giveUp(_ stream: RawSpan) -> Flight {
        guard stream.byteCount > 0 else { return Flight(.unknown, flaw: "nothing was sent") }
        var flight = Flight(Application.ofServer(stream), excerptOf: stream)
        flight.flaw = "the first flight is not whole"
        return flight
    }
}
