internal import Wire

/// Makes of an upstream's message what a client may believe.
///
/// Of the answers stays the chain of CNAMEs that begins at the name asked for, and the records of the type asked for at its
/// end; of the authorities stays the SOA of a negative answer. Everything else might be about a name that nobody asked for.
struct Sanitiser {
    let question: DNSQuestion
    let settings: Resolver.Settings

    /// At most this many CNAMEs lead to the records.
    static let chainLimit = 16

    /// Nil when the message is no answer to the question: a failure, a referral, a chain that loops or forks.
    func content(of message: DNSMessage) -> AnswerContent? {
        let code = message.responseCode
        guard code == .noError || code == .nameError, let (chain, final) = chain(in: message) else { return nil }
        let found = records(at: final, in: message)
        guard code == .noError || found.isEmpty else { return nil }
        guard found.isEmpty else { return positive(chain + found) }
        // A CNAME that was asked for is the answer itself.
        if question.type == .cname, !chain.isEmpty { return code == .noError ? positive(chain) : nil }
        let authority = authority(of: final, in: message)
        guard !isReferral(message, authority) else { return nil }
        return negative(code, chain, authority)
    }

    private func positive(_ records: [DNSRecord]) -> AnswerContent? {
        let capped = records.map(capped)
        let kept = capped.compactMap(Self.withoutHiddenName)
        return AnswerContent(
            question,
            code: .noError,
            answers: kept,
            authorities: [],
            lifetime: capped.map(\.ttl).min() ?? 0,
            isNegative: kept.last?.type != question.type,
        )
    }

    /// RFC 2308 §5: kept for the SOA's TTL or its minimum, whichever is shorter; without SOA not at all.
    private func negative(_ code: DNSResponseCode, _ chain: [DNSRecord], _ authority: DNSRecord?) -> AnswerContent? {
        let records = chain.map(capped)
        let lifetime = authority.map { soa in records.map(\.ttl).reduce(soa.ttl, min) } ?? 0
        return AnswerContent(
            question,
            code: code,
            answers: records,
            authorities: authority.map { [$0] } ?? [],
            lifetime: lifetime,
            isNegative: true,
        )
    }

    /// The CNAMEs in the order in which they lead on, and the name where they end; nil when they loop or fork.
    private func chain(in message: DNSMessage) -> ([DNSRecord], DNSName)? {
        var chain: [DNSRecord] = []
        var name = question.name
        let aliases = message.answers.filter { $0.type == .cname && $0.class == DNSClass.internet }
        while let alias = aliases.first(where: { $0.name == name }), case .name(let target) = alias.data {
            guard question.type == .cname || !hasRecords(at: name, in: message) else { break }
            guard aliases.allSatisfy({ $0.name != name || $0.data == alias.data }) else { return nil }
            guard chain.count < Self.chainLimit, target != question.name,
                !chain.contains(where: { $0.name == target || $0.name == name })
            else { return nil }
            chain.append(alias)
            if question.type == .cname { break }
            name = target
        }
        return (chain, name)
    }

    private func isFinal(_ record: DNSRecord, _ name: DNSName) -> Bool {
        record.type == question.type && record.class == DNSClass.internet && record.name == name
    }

    private func hasRecords(at name: DNSName, in message: DNSMessage) -> Bool {
        message.answers.contains { isFinal($0, name) }
    }

    private func records(at name: DNSName, in message: DNSMessage) -> [DNSRecord] {
        question.type == .cname ? [] : message.answers.filter { isFinal($0, name) }
    }

    /// The SOA of a zone that the name is in, with the TTL that the absence has.
    private func authority(of name: DNSName, in message: DNSMessage) -> DNSRecord? {
        for record in message.authorities where record.type == .soa && record.class == DNSClass.internet {
            guard case .authority(_, _, _, _, _, _, let minimum) = record.data, name.isWithin(record.name) else {
                continue
            }
            var authority = record
            authority.ttl = min(record.ttl, minimum, settings.maxNegativeTTL)
            return authority
        }
        return nil
    }

    /// Whether it is the answer of a server that knows only where to ask on (RFC 2308 §2.2.1).
    private func isReferral(_ message: DNSMessage, _ authority: DNSRecord?) -> Bool {
        message.responseCode == .noError && authority == nil && !message.header.isAuthoritative
            && message.authorities.contains { $0.type == .ns }
    }

    private func capped(_ record: DNSRecord) -> DNSRecord {
        var record = record
        record.ttl = min(record.ttl, settings.maxTTL)
        return record
    }

    /// An HTTPS or SVCB record without `ech`, whose keys would hide the server name; nil when it cannot do without.
    private static func withoutHiddenName(_ record: DNSRecord) -> DNSRecord? {
        guard record.type == .https || record.type == .svcb else { return record }
        guard case .binding(let priority, let target, let parameters) = record.data else { return nil }
        if let mandatory = parameters.first(where: { $0.key == ServiceParameter.mandatory }) {
            guard mandatory.value.count.isMultiple(of: 2) else { return nil }
            for index in stride(from: 0, to: mandatory.value.count, by: 2) {
                let key = UInt16(mandatory.value[index]) << 8 | UInt16(mandatory.value[index + 1])
                guard key != ServiceParameter.ech else { return nil }
            }
        }
        var record = record
        let kept = parameters.filter { $0.key != ServiceParameter.ech }
        record.data = .binding(priority: priority, target: target, parameters: kept)
        return record
    }
}

extension DNSName {
    /// Whether it is the other name or below it.
    func isWithin(_ other: DNSName) -> Bool {
        guard other.wire.count <= wire.count else { return false }
        let cut = wire.count - other.wire.count
        var offset = 0
        // A label must begin where the other name does: its last bytes may be part of a longer label.
        while offset < cut { offset += 1 + Int(wire[offset]) }
        return offset == cut && wire[cut...].elementsEqual(other.wire)
    }
}
