import System
import Testing

@Suite struct ProcessTextTests {
    private func bytes(_ words: [String]) -> [UInt8] { words.flatMap { Array($0.utf8) + [0] } }

    @Test func wordsEndInZeros() {
        #expect(ProcessText.command(bytes(["ssh", "-N", "", "host"])) == ["ssh", "-N", "", "host"])
        #expect(ProcessText.command([]) == [])
        // A process that has written over its arguments may leave out the last zero.
        #expect(ProcessText.command(Array("postgres: writer".utf8)) == ["postgres: writer"])
    }

    @Test func tooManyWordsAreCutAndMarked() {
        let command = ProcessText.command(bytes((0..<65).map(String.init)))
        #expect(command.count == 64)
        #expect(command.last == "…")
        #expect(ProcessText.command(bytes((0..<64).map(String.init))).last == "63")
    }

    @Test func aLongWordIsCutBetweenScalars() {
        let word = String(repeating: "é", count: 700)
        let command = ProcessText.command(bytes(["a", word]))
        #expect(command == ["a", String(repeating: "é", count: 512) + "…"])
        let odd = ProcessText.command(bytes(["x" + word]))
        #expect(odd == ["x" + String(repeating: "é", count: 511) + "…"])
    }

    @Test func aCommandAtTheLimitIsMarked() {
        let command = ProcessText.command([UInt8](repeating: UInt8(ascii: "a"), count: ProcessText.commandLimit))
        #expect(command.count == 1)
        #expect(command[0].last == "…")
    }

    @Test func invalidUTF8IsRepaired() {
        #expect(ProcessText.command([0x61, 0xff, 0x62, 0]) == ["a\u{fffd}b"])
        // Nothing but continuation bytes: cut to nothing rather than read before the start.
        let command = ProcessText.command([UInt8](repeating: 0x80, count: 2000) + [0])
        #expect(command.count == 1)
        #expect(command[0].hasSuffix("…"))
    }

    @Test func onlyTheNamedVariablesAreTaken() {
        let environment = bytes(["HOME=/root", "RL_STEP=12", "TOKEN=secret", "RL_STEP=13", "RL_STEPS=9", "NOTHING"])
        #expect(ProcessText.variables(["RL_STEP", "NOTHING"], in: environment) == ["RL_STEP": "12"])
        #expect(ProcessText.variables([], in: environment) == [:])
        let long = ProcessText.variables(["A"], in: bytes(["A=" + String(repeating: "x", count: 300)]))
        #expect(long["A"] == String(repeating: "x", count: 256) + "…")
    }

    @Test func linesOfRawSocketsAreRead() {
        let text = """
              sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
               1: 00000000:0001 00000000:0000 07 00000000:00000000 00:00000000 00000000  1001        0 48213 2 0000000000000000 0
              58: 00000000000000000000000000000000:003A 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 17 2 0000000000000000 0
            broken
            """
        let sockets = RawSocket.all(in: text)
        #expect(sockets.map(\.port) == [1, 58])
        #expect(sockets.map(\.uid) == [1001, 0])
        #expect(sockets.map(\.inode) == [48213, 17])
    }
}
