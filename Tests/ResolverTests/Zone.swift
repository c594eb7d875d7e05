import Model
import Wire

@testable import Resolver

/// The names that exist in the simulation, and what each one answers.
enum Zone {
    enum Kind: Int, CaseIterable {
        case address, chain, noName, noData, fleeting, big, broken, noNameForNow
    }

    static let count = 64
    /// The address that only forged messages have.
    static let forged = IPAddress.v4(0x0606_0606)

    static func question(_ index: Int) -> DNSQuestion { ask("host\(index + 100).example.org") }

    static func index(_ question: DNSQuestion) -> Int? {
        Int(question.name.text.dropFirst(4).prefix(3)).map { $0 - 100 }
    }

    static func kind(_ index: Int) -> Kind { Kind.allCases[index % Kind.allCases.count] }

    /// The addresses that the name has in truth.
    static func addresses(_ index: Int) -> Set<IPAddress> {
        let base = 0x0a00_0000 + UInt32(index) << 8
        switch kind(index) {
        case .address, .chain, .fleeting: return [.v4(base + 1)]
        case .big: return Set((1...50).map { .v4(base + $0) })
        case .noName, .noData, .broken, .noNameForNow: return []
        }
    }

    static func reply(_ index: Int) -> Reply {
        let own = question(index).name
        let records = addresses(index).sorted().map { DNSRecord(name: own, type: .a, ttl: 5, data: .address($0)) }
        switch kind(index) {
        case .address, .big: return Reply(answers: records)
        case .chain:
            let (first, second) = (name("alias\(index).example.net"), name("end\(index).example.com"))
            return Reply(answers: [
                DNSRecord(name: second, type: .a, ttl: 3, data: .address(addresses(index).first ?? forged)),
                DNSRecord(name: first, type: .cname, ttl: 9, data: .name(second)),
                DNSRecord(name: own, type: .cname, ttl: 4, data: .name(first)),
            ])
        case .fleeting:
            return Reply(answers: records.map { DNSRecord(name: own, type: .a, ttl: 0, data: $0.data) })
        case .noName: return Reply(code: .nameError, authorities: [soa("example.org", ttl: 4)])
        case .noData: return Reply(authorities: [soa("example.org", minimum: 2)])
        case .broken: return Reply(code: .serverFailure)
        case .noNameForNow: return Reply(code: .nameError)
        }
    }

    /// Whether the answer says of the name what is true; a failure says nothing.
    static func agrees(_ answer: Answer, _ index: Int) -> Bool {
        if answer.code == .serverFailure { return answer.answers.isEmpty && answer.authorities.isEmpty }
        guard Set(answer.addresses) == addresses(index), answer.mappedAddresses.isEmpty else { return false }
        switch kind(index) {
        case .address, .big, .fleeting, .chain: return answer.code == .noError && !answer.isNegative
        case .noName, .noNameForNow: return answer.code == .nameError && answer.isNegative
        case .noData: return answer.code == .noError && answer.isNegative
        case .broken: return false
        }
    }
}
