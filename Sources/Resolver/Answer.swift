package import Model
package import Wire

/// What a question came to.
///
/// Cheap to copy: one reference and a few bytes.
package struct Answer: Sendable {
    /// `noError`, `nameError` or a failure.
    package let code: DNSResponseCode
    /// Nil for failures.
    let content: AnswerContent?
    /// Seconds since it was learned.
    let age: UInt32
    package let isFromCache: Bool

    init(_ content: AnswerContent, age: UInt32, isFromCache: Bool) {
        self.code = content.code
        self.content = content
        self.age = age
        self.isFromCache = isFromCache
    }

    private init(failure code: DNSResponseCode) {
        self.code = code
        self.content = nil
        self.age = 0
        self.isFromCache = false
    }

    /// An answer without records.
    package static func failure(_ code: DNSResponseCode) -> Answer { Answer(failure: code) }

    /// The chain of CNAMEs from the name asked for, then the records of the type asked for; TTLs are counted down.
    package var answers: [DNSRecord] { content?.answers.map(aged) ?? [] }

    /// The SOA of a negative answer, if there was one.
    package var authorities: [DNSRecord] { content?.authorities.map(aged) ?? [] }

    /// Seconds left of the record that ends first; 0 for failures and for what must not be kept.
    package var timeToLive: UInt32 { content.map { $0.lifetime - min($0.lifetime, age) } ?? 0 }

    /// Whether the name, or the type at the name, does not exist (RFC 2308 §2).
    package var isNegative: Bool { content?.isNegative ?? false }

    /// The addresses of the type asked for; IPv4 addresses that came in an AAAA are left out.
    package var addresses: [IPAddress] { content?.addresses(mapped: false) ?? [] }

    /// The IPv4 addresses that came in an AAAA (`::ffff:0:0/96`), which no name may stand for.
    package var mappedAddresses: [IPAddress] { content?.addresses(mapped: true) ?? [] }

    private func aged(_ record: DNSRecord) -> DNSRecord {
        var aged = record
        aged.ttl -= min(aged.ttl, age)
        return aged
    }
}

/// The lasting part of an answer, shared by all who get it.
final class AnswerContent: Sendable {
    let code: DNSResponseCode
    let answers: [DNSRecord]
    let authorities: [DNSRecord]
    /// Seconds until the first record of it ends; 0 is not to be kept.
    let lifetime: UInt32
    let isNegative: Bool
    let template: AnswerTemplate

    /// Nil when the records do not fit a message.
    init?(
        _ question: DNSQuestion,
        code: DNSResponseCode,
        answers: [DNSRecord],
        authorities: [DNSRecord],
        lifetime: UInt32,
        isNegative: Bool,
    ) {
        guard let template = AnswerTemplate(question, answers, authorities) else { return nil }
        self.code = code
        self.answers = answers
        self.authorities = authorities
        self.lifetime = lifetime
        self.isNegative = isNegative
        self.template = template
        let records = (answers + authorities).reduce(0) { $0 + $1.cost }
        cost = 512 + template.bytes.count + 16 * template.records.count + records
    }

    var recordCount: Int { answers.count + authorities.count }

    /// The bytes that it takes in memory, estimated from above: every record has a name of its own.
    let cost: Int

    fileprivate func addresses(mapped: Bool) -> [IPAddress] {
        answers.compactMap { record in
            guard case .address(let address) = record.data else { return nil }
            return (record.type == .aaaa && address.isV4) == mapped ? address : nil
        }
    }
}

extension DNSRecord {
    /// The bytes that it takes in memory; every array has 32 bytes besides its elements.
    fileprivate var cost: Int {
        let content =
            switch data {
            case .address: 0
            case .name(let name): name.wire.count
            case .service(_, _, _, let target): target.wire.count
            case .binding(_, let target, let parameters):
                parameters.reduce(target.wire.count) { $0 + 64 + $1.value.count }
            case .authority(let primary, let mailbox, _, _, _, _, _): primary.wire.count + mailbox.wire.count
            case .opaque(let bytes): bytes.count
            }
        return MemoryLayout<DNSRecord>.stride + 128 + name.wire.count + content
    }
}
