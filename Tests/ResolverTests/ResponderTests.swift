import Model
import Testing
import Wire

@testable import Resolver

/// The bytes that clients get.
struct ResponderTests {
    private let question = ask("www.example.org")

    /// A client's query in odd letters.
    private func query(
        _ question: DNSQuestion,
        payload: UInt16? = nil,
        version: UInt8 = 0,
        change: (inout DNSHeader) -> Void = { _ in },
    ) -> [UInt8] {
        var header = DNSHeader(id: 0x1234)
        header.recursionDesired = true
        change(&header)
        let edns = payload.map { DNSExtension(payloadSize: $0, version: version) }
        var writer = DNSWriter(header, extension: edns)
        let spelling = question.name.wire.map { (0x61...0x7a).contains($0) && $0 & 1 == 1 ? $0 ^ 0x20 : $0 }
        writer.append(question, spelling: spelling)
        return writer.finish()
    }

    private func responder(_ bytes: [UInt8], _ transport: Responder.Transport = .datagram) throws -> Responder {
        Responder(try bytes.query(), in: bytes.raw, over: transport)
    }

    private func answer(_ question: DNSQuestion, _ records: [DNSRecord], age: UInt32 = 0) throws -> Answer {
        let content = AnswerContent(
            question,
            code: .noError,
            answers: records,
            authorities: [],
            lifetime: 300,
            isNegative: records.isEmpty,
        )
        return Answer(try #require(content), age: age, isFromCache: age > 0)
    }

    @Test func idSpellingAndFlagsAreTheClients() throws {
        let asked = query(question) { $0.checkingDisabled = true }
        let bytes = try responder(asked).response(answer(question, [a("www.example.org", "192.0.2.1")]))
        let message = try bytes.message()
        #expect(message.header.id == 0x1234 && message.header.isResponse)
        #expect(message.header.recursionDesired && message.header.recursionAvailable)
        #expect(message.header.checkingDisabled && !message.header.authenticData && !message.header.isAuthoritative)
        #expect(message.extension == nil)
        #expect(message.answers == [a("www.example.org", "192.0.2.1")])
        #expect(Array(bytes[12..<33]) == Array(asked[12..<33]))
        let without = try responder(query(question) { $0.recursionDesired = false }).refusal(.refused).message()
        #expect(!without.header.recursionDesired && without.responseCode == .refused)
    }

    /// Every kind of record comes out as it went in, with its TTL counted down.
    @Test(arguments: [UInt32(0), 1, 17, 299])
    func timesAreCountedDown(_ age: UInt32) throws {
        let records = [
            cname("www.example.org", "b.example.net", ttl: 300), a("b.example.net", "192.0.2.1", ttl: 0x1_0203),
            a("b.example.net", "192.0.2.2", ttl: 310),
        ]
        let given = try answer(question, records, age: age)
        let message = try responder(query(question, payload: 1400)).response(given).message()
        #expect(message.answers == given.answers)
        #expect(message.answers.map(\.ttl) == [300 - age, 0x1_0203 - age, 310 - age])
        #expect(message.extension?.payloadSize == 1232)
    }

    @Test func anAuthorityIsOne() throws {
        let content = try #require(
            AnswerContent(
                question,
                code: .nameError,
                answers: [cname("www.example.org", "b.example.net")],
                authorities: [soa("example.net")],
                lifetime: 60,
                isNegative: true,
            )
        )
        let given = Answer(content, age: 5, isFromCache: true)
        let message = try responder(query(question)).response(given).message()
        #expect(message.responseCode == .nameError)
        #expect(message.answers == given.answers && message.authorities == given.authorities)
        #expect(message.authorities.map(\.ttl) == [595])
    }

    @Test(arguments: [(nil, 512), (100, 512), (512, 512), (700, 700), (1232, 1232), (4096, 1232)] as [(UInt16?, Int)])
    func aDatagramIsCutAtAWholeRecord(_ payload: UInt16?, _ limit: Int) throws {
        let records = (0..<200).map { a("www.example.org", "192.0.2.\($0)") }
        let given = try answer(question, records)
        let bytes = try responder(query(question, payload: payload)).response(given)
        #expect(bytes.count <= limit && bytes.count > limit - 16)
        let message = try bytes.message()
        #expect(message.header.isTruncated)
        #expect(message.answers == Array(records.prefix(message.answers.count)))
        #expect((message.extension != nil) == (payload != nil))
        let whole = try responder(query(question, payload: payload), .stream).response(given).message()
        #expect(!whole.header.isTruncated && whole.answers == records)
    }

    @Test func refusalsSayWhyToThoseWhoUnderstand() throws {
        let error = ExtendedError.prohibited("no rule of 'llm-pretrain' allows www.example.org")
        let bytes = try responder(query(question, payload: 1232)).refusal(.refused, error)
        #expect(try bytes.message().responseCode == .refused)
        let option: [UInt8] = [0, 15, 0, UInt8(2 + error.text.utf8.count), 0, 18] + Array(error.text.utf8)
        #expect(Array(bytes.suffix(option.count)) == option)
        let plain = try responder(query(question)).refusal(.refused, error)
        #expect(try plain.message().extension == nil)
        #expect(plain.count == 12 + 21)
    }

    @Test func aReasonFitsTheSmallestDatagram() throws {
        let long = DNSQuestion(
            name: name((0..<4).map { String(repeating: "\($0)", count: 61) }.joined(separator: ".")),
            type: .a
        )
        let error = ExtendedError.prohibited(String(repeating: "ä", count: 500))
        #expect(error.text == String(repeating: "ä", count: 60) && error.code == 18)
        let bytes = try responder(query(long, payload: 512)).refusal(.refused, error)
        #expect(bytes.count <= 512)
        #expect(try bytes.message().questions == [long])
    }

    @Test func anUnknownVersionOfEDNSIsTold() throws {
        let asked = try responder(query(question, payload: 1232, version: 1))
        #expect(asked.hasBadVersion)
        let message = try asked.refusal(.badVersion).message()
        #expect(message.responseCode == .badVersion && message.extension?.version == 0)
    }

    @Test func anAnswerToAnotherQuestionIsAFailure() throws {
        let given = try answer(ask("longer.example.org"), [a("longer.example.org", "192.0.2.1")])
        let message = try responder(query(question)).response(given).message()
        #expect(message.responseCode == .serverFailure && message.answers.isEmpty)
        #expect(
            try responder(query(question)).response(.failure(.serverFailure)).message().responseCode == .serverFailure
        )
    }

    @Test func whatCannotBeReadGetsABareHeader() {
        func refusal(_ bytes: [UInt8], _ code: DNSResponseCode) -> [UInt8]? {
            Responder.refusal(ofUnreadable: bytes.raw, code)
        }
        let notify: [UInt8] = [7, 8, 0x21, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        let zeros = [UInt8](repeating: 0, count: 8)
        #expect(refusal(notify, .notImplemented) == [7, 8, 0xa1, 0x84] + zeros)
        #expect(refusal(notify + [1, 2, 3], .formatError) == [7, 8, 0xa1, 0x81] + zeros)
        #expect(refusal([7, 8, 0x81, 0] + zeros, .formatError) == nil)
        #expect(refusal(Array(notify.dropLast()), .formatError) == nil)
        #expect(refusal([], .formatError) == nil)
    }

    @Test func appendingLeavesWhatWasThere() throws {
        let asked = try responder(query(question), .stream)
        let given = try answer(question, [a("www.example.org", "192.0.2.1")], age: 3)
        var bytes: [UInt8] = [9, 9]
        asked.append(given, to: &bytes)
        #expect(bytes == [9, 9] + asked.response(given))
    }
}
