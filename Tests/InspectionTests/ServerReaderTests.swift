import Model
import Testing
import Wire

@testable import Inspection

/// What a server that speaks first is said to be.
@Suite("Server reader")
struct ServerReaderTests {
    private func read(_ text: String) -> FlightReader.Progress { ServerReader.read(Array(text.utf8).rawBytes) }

    private func flight(_ text: String) -> Flight? {
        guard case .done(let flight) = read(text) else { return nil }
        return flight
    }

    @Test("SSH, whatever lines come before")
    func readsBanners() {
        #expect(flight("SSH-2.0-OpenSSH_9.2p1\r\n\0\0")?.application == .ssh)
        #expect(flight("SSH-2.0-OpenSSH_9.2p1\r\n\0\0")?.excerpt == "SSH-2.0-OpenSSH_9.2p1")
        #expect(flight("Welcome\r\nSSH-2.0-x\r\n")?.application == .ssh)
        #expect(flight("Welcome\r\nSSH-2.0-x\r\n")?.flaw == nil)
    }

    @Test("the candidate")
    func namesCandidates() {
        #expect(read("") == .more(candidate: .unknown))
        #expect(read("S") == .more(candidate: .ssh))
        #expect(read("SSH-2.0-Open") == .more(candidate: .ssh))
        #expect(read("220 mail.example ESMTP\r\n") == .more(candidate: .unknown))
    }

    @Test("what cannot become SSH")
    func tellsOthers() {
        #expect(flight("SSH-1.5-old\r\n")?.application == .ssh)
        #expect(flight("SSH-1.5-old\r\n")?.flaw != nil)
        #expect(flight("\0\0\u{4}")?.application == .unknown)
        #expect(flight(String(repeating: "no\r\n", count: 33))?.application == .unknown)
        #expect(flight(String(repeating: "no", count: 9000))?.application == .unknown)
    }

    @Test("what is not whole when nobody waits any longer has a flaw")
    func givesUp() {
        func giveUp(_ text: String) -> Flight { ServerReader.giveUp(Array(text.utf8).rawBytes) }
        #expect(giveUp("").flaw == "nothing was sent")
        #expect(giveUp("SSH-2.0-Open").application == .ssh)
        #expect(giveUp("SSH-2.0-Open").flaw == "the first flight is not whole")
        #expect(giveUp("220 mail.example ESMTP\r\n").application == .unknown)
        #expect(giveUp("220 mail.example ESMTP\r\n").excerpt == #"220 mail.example ESMTP\r\n"#)
    }
}
