import Model
import Policy
import Testing

struct RecordTypeTests {
    @Test(arguments: [
        ("TXT", "TXT"), ("txt", "TXT"), ("TYPE16", "TXT"), ("type16", "TXT"), ("TYPE65280", "TYPE65280"), ("A", "A"),
        ("TYPE28", "AAAA"), ("CAA", "CAA"), ("TYPE1234", "TYPE1234"), ("NSEC3", "NSEC3"), ("TYPE00016", "TXT"),
    ])
    func oneText(_ text: String, _ canonical: String) throws { #expect(try RecordType.read(text) == canonical) }

    @Test(arguments: [
        "", "TEXT", "TYPE", "TYPE65536", "TYPE-1", "TYPE 16", "16", "TYPE000016", "any ", "TYPE0", "TYPE65535", "ANY",
        "any",
        "TYPE255", "AXFR", "IXFR", "TYPE252", "NULL", "TYPE10", "OPT", "TSIG", "TYPE249", "TYPE128", "TYPE254",
        "ſrv", "TYPE1٦",
    ])
    func refused(_ text: String) { #expect(throws: TextError.self) { try RecordType.read(text) } }

    @Test func whatNeedsNoEntryIsWarnedOf() throws {
        let rule = try Make.rule("a", to: ["a.example"], application: .tls, types: ["A", "TXT", "SRV"])
        let warnings = try Make.workload(allow: [rule]).warnings.map(\.message)
        #expect(warnings.last == "no need to list A, SRV in 'types'; remove what is always permitted")
    }
}
