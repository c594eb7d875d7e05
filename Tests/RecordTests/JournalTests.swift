import Glibc
import Model
import Testing

@testable import Record

/// The fields of an entry, read as the journal reads them.
private func fields(_ entry: JournalEntry) throws -> [String: String] {
    var rest = entry.bytes[...]
    var fields: [String: String] = [:]
    while !rest.isEmpty {
        let line = try #require(rest.firstIndex(of: 0x0a))
        if let equals = rest[..<line].firstIndex(of: 0x3d) {
            fields[text(rest[..<equals])] = text(rest[(equals + 1)..<line])
            rest = rest[(line + 1)...]
            continue
        }
        let name = text(rest[..<line])
        let length = rest[(line + 1)...].prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
        let start = line + 9
        fields[name] = text(rest[start..<(start + length)])
        try #require(rest[start + length] == 0x0a)
        rest = rest[(start + length + 1)...]
    }
    return fields
}

private func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

private func denied() throws -> Event {
    var event = Event(time: WallTime(microseconds: 0), kind: .request)
    event.sequence = 1042
    event.verdict = .deny
    event.reason = .unknownDestination
    event.workload = "llm-pretrain"
    event.destination = Destination(address: try #require(IPAddress("203.0.113.9")), port: 22, transport: .tcp)
    event.process = ProcessRecord(
        pid: 4711,
        executable: "/usr/bin/ssh",
        command: ["ssh", "-R", "x\nEGRESSD_VERDICT=allow"],
        uid: 1001,
    )
    event.context = ["RL_STEP": "5012", "ä": "no", String(repeating: "X", count: 49): "too long"]
    event.finding = .reverseSSHTunnel
    event.request = 7
    return event
}

@Suite struct JournalTests {
    @Test func hasAFieldForEachValue() throws {
        let fields = try fields(JournalEntry(denied()))
        #expect(fields["EGRESSD_SEQ"] == "1042")
        #expect(fields["EGRESSD_WORKLOAD"] == "llm-pretrain")
        #expect(fields["EGRESSD_VERDICT"] == "deny")
        #expect(fields["EGRESSD_REASON"] == "unknown-destination")
        #expect(fields["EGRESSD_ADDRESS"] == "203.0.113.9")
        #expect(fields["EGRESSD_PORT"] == "22")
        #expect(fields["EGRESSD_PID"] == "4711")
        #expect(fields["EGRESSD_FINDING"] == "reverse-ssh-tunnel")
        #expect(fields["EGRESSD_CONTEXT_RL_STEP"] == "5012")
        #expect(fields["PRIORITY"] == "4")
        #expect(
            fields["MESSAGE"]
                == "request deny unknown-destination llm-pretrain 203.0.113.9:22/tcp /usr/bin/ssh pid 4711 reverse-ssh-tunnel"
        )
        #expect(fields["EGRESSD_RULE"] == nil)
        // Names that the journal would drop are not sent.
        #expect(fields.keys.count { $0.hasPrefix("EGRESSD_CONTEXT_") } == 1)
    }

    @Test func keepsForeignTextInItsField() throws {
        let fields = try fields(JournalEntry(denied()))
        #expect(fields["EGRESSD_COMMAND"] == "ssh -R x\nEGRESSD_VERDICT=allow")
        #expect(fields["EGRESSD_VERDICT"] == "deny")
    }

    @Test(arguments: [(Event.Kind.alarm, nil as Verdict?, "3"), (.request, .observe, "5"), (.daemon, nil, "6")])
    func hasALevel(kind: Event.Kind, verdict: Verdict?, level: String) throws {
        var event = Event(time: WallTime(microseconds: 0), kind: kind)
        event.verdict = verdict
        #expect(try fields(JournalEntry(event))["PRIORITY"] == level)
    }

    @Test func countsWhatWasNotTaken() throws {
        let scratch = try Scratch()
        let path = scratch.parent + "/socket"
        let journal = try #require(Journal(path: path))
        let event = try denied()
        // Where there is no journal nothing is missed.
        journal.send(event)
        #expect(journal.missed == 0)

        let listener = try listen(at: path)
        defer {
            close(listener)
            unsafe unlink(path)
        }
        var sent: UInt64 = 0
        while journal.missed < 5, sent < 100_000 {
            journal.send(event)
            sent += 1
        }
        #expect(journal.missed == 5)
        var bytes = [UInt8](repeating: 0, count: 8192)
        while unsafe recv(listener, &bytes, bytes.count, Int32(MSG_DONTWAIT)) > 0 {}
        journal.send(event)
        #expect(journal.missed == 0)
        let length = unsafe recv(listener, &bytes, bytes.count, Int32(MSG_DONTWAIT))
        let line = String(decoding: bytes.prefix(max(0, length)), as: UTF8.self)
        #expect(line.hasPrefix("MESSAGE=5 events up to 1041 are missing here"))
        #expect(unsafe recv(listener, &bytes, bytes.count, Int32(MSG_DONTWAIT)) > 0)
    }

    private func listen(at path: String) throws -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe bind(
                descriptor,
                UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr.self),
                socklen_t(MemoryLayout<sockaddr_un>.size),
            )
        }
        try #require(result == 0)
        return descriptor
    }
}
