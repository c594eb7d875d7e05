import Model
import Testing
import Wire

@testable import Resolver

/// What of an upstream's message reaches a client.
struct SanitiserTests {
    private func content(_ question: DNSQuestion, _ reply: Reply) -> AnswerContent? {
        var header = DNSHeader(id: 1)
        header.isResponse = true
        header.isAuthoritative = reply.isAuthoritative
        header.responseCode = reply.code
        let message = DNSMessage(
            header: header,
            questions: [question],
            answers: reply.answers,
            authorities: reply.authorities,
            additionals: reply.additionals,
        )
        return Sanitiser(question: question, settings: Resolver.Settings()).content(of: message)
    }

    @Test func whatNobodyAskedForIsDropped() throws {
        let found = try #require(
            content(
                ask("www.example.org"),
                Reply(
                    answers: [
                        a("bank.example.com", "6.6.6.6"), a("www.example.org", "192.0.2.1"),
                        aaaa("www.example.org", "2001:db8::1"), cname("bank.example.com", "www.example.org"),
                    ],
                    authorities: [ns("example.org", "ns.example.org"), soa("example.org")],
                    additionals: [a("ns.example.org", "6.6.6.6")],
                )
            )
        )
        #expect(found.answers == [a("www.example.org", "192.0.2.1")])
        #expect(found.authorities.isEmpty)
        #expect(!found.isNegative)
    }

    @Test func aChainIsPutInOrder() throws {
        let found = try #require(
            content(
                ask("www.example.org"),
                Reply(answers: [
                    a("c.example.net", "192.0.2.2", ttl: 20), cname("b.example.net", "c.example.net", ttl: 10),
                    a("c.example.net", "192.0.2.1", ttl: 20), cname("www.example.org", "b.example.net"),
                ])
            )
        )
        #expect(
            found.answers == [
                cname("www.example.org", "b.example.net"), cname("b.example.net", "c.example.net", ttl: 10),
                a("c.example.net", "192.0.2.2", ttl: 20), a("c.example.net", "192.0.2.1", ttl: 20),
            ]
        )
        #expect(found.lifetime == 10)
    }

    @Test(arguments: [1, 2, 5])
    func aLoopIsNoAnswer(_ length: Int) {
        let loop = (0..<length).map { cname("n\($0).example.org", "n\(($0 + 1) % length).example.org") }
        #expect(content(ask("n0.example.org"), Reply(answers: loop)) == nil)
        let tail = [cname("www.example.org", "n0.example.org")] + loop
        #expect(content(ask("www.example.org"), Reply(answers: tail)) == nil)
    }

    @Test func aChainIsBounded() {
        func chain(_ length: Int) -> Reply {
            Reply(
                answers: (0..<length).map { cname("n\($0).example.org", "n\($0 + 1).example.org") }
                    + [a("n\(length).example.org", "192.0.2.1")]
            )
        }
        #expect(content(ask("n0.example.org"), chain(16))?.answers.count == 17)
        #expect(content(ask("n0.example.org"), chain(17)) == nil)
    }

    @Test func aForkIsNoAnswer() {
        let fork = [cname("www.example.org", "b.example.org"), cname("www.example.org", "c.example.org")]
        #expect(content(ask("www.example.org"), Reply(answers: fork + [a("b.example.org", "192.0.2.1")])) == nil)
    }

    @Test func aChainToNothingIsNoData() throws {
        let reply = Reply(answers: [cname("www.example.org", "b.example.net")], authorities: [soa("example.net")])
        let found = try #require(content(ask("www.example.org", .aaaa), reply))
        #expect(found.isNegative && found.code == .noError)
        #expect(found.answers == [cname("www.example.org", "b.example.net")])
        // RFC 2308 §5: the shorter of the SOA's TTL and its minimum.
        #expect(found.authorities.map(\.ttl) == [60] && found.lifetime == 60)
    }

    @Test func aCNAMEThatIsAskedForIsTheAnswer() throws {
        let chain = [cname("www.example.org", "b.example.net"), cname("b.example.net", "c.example.net")]
        let found = try #require(content(ask("www.example.org", .cname), Reply(answers: chain)))
        #expect(found.answers == [chain[0]] && !found.isNegative)
        #expect(content(ask("www.example.org", .cname), Reply(code: .nameError, answers: chain)) == nil)
    }

    @Test func noNameIsBoundedAndNeedsASOAToBeKept() throws {
        let question = ask("gone.example.org")
        let long = try #require(
            content(question, Reply(code: .nameError, authorities: [soa("org", ttl: 90_000, minimum: 80_000)]))
        )
        #expect(long.code == .nameError && long.lifetime == 900)
        #expect(try #require(content(question, Reply(code: .nameError))).lifetime == 0)
        // The SOA of a zone that the name is not in says nothing.
        for owner in ["example.com", "one.example.org", "le.org", "a.gone.example.org"] {
            let found = try #require(content(question, Reply(code: .nameError, authorities: [soa(owner)])))
            #expect(found.authorities.isEmpty && found.lifetime == 0)
        }
        let root = try #require(content(question, Reply(code: .nameError, authorities: [soa(".")])))
        #expect(root.lifetime == 60)
    }

    @Test func recordsOfANameThatIsDeniedAreNoAnswer() {
        let reply = Reply(code: .nameError, answers: [a("www.example.org", "192.0.2.1")])
        #expect(content(ask("www.example.org"), reply) == nil)
    }

    @Test func aReferralIsNoAnswer() {
        let question = ask("www.example.org")
        #expect(content(question, Reply(authorities: [ns("example.org", "ns.example.org")])) == nil)
        #expect(content(question, Reply())?.isNegative == true)
    }

    @Test func anotherClassIsDropped() {
        var record = a("www.example.org", "6.6.6.6")
        record.class = 3
        #expect(content(ask("www.example.org"), Reply(answers: [record]))?.answers.isEmpty == true)
    }

    @Test func lifetimesAreBounded() throws {
        let reply = Reply(answers: [a("www.example.org", "192.0.2.1", ttl: 1_000_000)])
        let found = try #require(content(ask("www.example.org"), reply))
        #expect(found.lifetime == 86_400 && found.answers[0].ttl == 86_400)
    }

    @Test(arguments: [DNSType.https, .svcb])
    func hiddenNamesAreRemoved(_ type: DNSType) throws {
        let (alpn, ech) = (
            ServiceParameter(key: 1, value: [2, 0x68, 0x32]), ServiceParameter(key: 5, value: [1, 2, 3])
        )
        let mandatoryALPN = ServiceParameter(key: 0, value: [0, 1])
        let cases: [([ServiceParameter], [ServiceParameter]?)] = [
            ([alpn, ech], [alpn]),
            ([ech], []),
            ([mandatoryALPN, alpn, ech], [mandatoryALPN, alpn]),
            ([ServiceParameter(key: 0, value: [0, 5]), ech], nil),
            ([ServiceParameter(key: 0, value: [0, 1, 0, 5]), alpn, ech], nil),
            ([ServiceParameter(key: 0, value: [0]), alpn], nil),
        ]
        for (given, kept) in cases {
            let reply = Reply(answers: [https("www.example.org", given, type: type)])
            let found = try #require(content(ask("www.example.org", type), reply))
            #expect(found.answers == (kept.map { [https("www.example.org", $0, type: type)] } ?? []))
            #expect(found.isNegative == (kept == nil))
        }
    }

    @Test func mappedAddressesAreToldApart() throws {
        let records = [
            DNSRecord(name: name("www.example.org"), type: .aaaa, ttl: 9, data: .address(.v4(0x0a00_0001))),
            aaaa("www.example.org", "2001:db8::1"),
        ]
        let found = try #require(content(ask("www.example.org", .aaaa), Reply(answers: records)))
        let answer = Answer(found, age: 0, isFromCache: false)
        #expect(answer.addresses == [IPAddress("2001:db8::1")])
        #expect(answer.mappedAddresses == [.v4(0x0a00_0001)])
    }
}
