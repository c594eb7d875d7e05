package import Model
package import Wire

extension Answer {
    /// The addresses that HTTPS and SVCB records hint at (RFC 9460 §7.3).
    package var hints: [IPAddress] {
        answers.flatMap { record -> [IPAddress] in
            guard case .binding(_, _, let parameters) = record.data else { return [] }
            return parameters.flatMap(\.addresses)
        }
    }

    /// The same answer with none of these addresses in it, as a record or as a hint; SERVFAIL if it cannot be written.
    package func without(_ addresses: Set<IPAddress>, for question: DNSQuestion) -> Answer {
        guard let content else { return self }
        let answers = content.answers.compactMap { $0.without(addresses) }
        let filtered = AnswerContent(
            question,
            code: content.code,
            answers: answers,
            authorities: content.authorities,
            lifetime: content.lifetime,
            isNegative: content.isNegative,
        )
        guard let filtered else { return .failure(.serverFailure) }
        return Answer(filtered, age: age, isFromCache: isFromCache)
    }
}

extension DNSRecord {
    /// Nil when it is one of the addresses.
    fileprivate func without(_ addresses: Set<IPAddress>) -> DNSRecord? {
        switch data {
        case .address(let address):
            return addresses.contains(address) ? nil : self
        case .binding(let priority, let target, let parameters):
            var record = self
            let kept = parameters.compactMap { $0.without(addresses) }
            record.data = .binding(priority: priority, target: target, parameters: kept)
            return record
        default:
            return self
        }
    }
}

extension ServiceParameter {
    private var width: Int? {
        switch key {
        case Self.ipv4hint: 4
        case Self.ipv6hint: 16
        default: nil
        }
    }

    /// The addresses of a hint; none of any other parameter.
    fileprivate var addresses: [IPAddress] {
        guard let width else { return [] }
        return stride(from: 0, to: value.count - width + 1, by: width).map { start in
            let bits = value[start..<start + width].reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
            return width == 4 ? .v4(UInt32(truncatingIfNeeded: bits)) : IPAddress(wire: bits)
        }
    }

    /// Nil when nothing is left of a hint.
    fileprivate func without(_ addresses: Set<IPAddress>) -> ServiceParameter? {
        guard let width else { return self }
        var left = self
        left.value = zip(self.addresses, stride(from: 0, to: value.count, by: width)).flatMap { address, start in
            addresses.contains(address) ? [] : Array(value[start..<start + width])
        }
        return left.value.isEmpty ? nil : left
    }
}
