import Model
import Wire

/// The bytes of a message that is given in the form that `describe` prints, in at most `limit` bytes.
func encode(_ line: String) -> String {
    guard let form = try? JSON.parse(line), let message = message(form) else { return "no message" }
    return hex(message.encoded(limit: Int(form["limit"]?.integer ?? 65_535))[...])
}

private func message(_ form: JSON) -> DNSMessage? {
    guard let start = bytes(form["header"]), let header = try? header(start + [UInt8](repeating: 0, count: 8)),
        let questions = list(form["questions"], question), let answers = list(form["answers"], record),
        let authorities = list(form["authorities"], record), let additionals = list(form["additionals"], record)
    else { return nil }
    return DNSMessage(
        header: header,
        questions: questions,
        answers: answers,
        authorities: authorities,
        additionals: additionals,
        extension: form["extension"].flatMap(opt),
    )
}

// `try?` around a borrowed span crashes the compiler (6.3.1), so the call stands in a function of its own.
private func header(_ bytes: [UInt8]) throws -> DNSHeader { try DNSHeader(bytes.rawBytes) }

private func list<Element>(_ form: JSON?, _ read: (JSON) -> Element?) -> [Element]? {
    guard let forms = form?.array else { return nil }
    let elements = forms.compactMap(read)
    return elements.count == forms.count ? elements : nil
}

private func question(_ form: JSON) -> DNSQuestion? {
    guard let parts = form.array, parts.count == 3, let name = name(parts[0]) else { return nil }
    return DNSQuestion(name: name, type: DNSType(rawValue: number(parts[1])), class: number(parts[2]))
}

private func opt(_ form: JSON) -> DNSExtension? {
    guard let parts = form.array, parts.count == 4 else { return nil }
    return DNSExtension(
        payloadSize: number(parts[0]),
        extendedCode: number(parts[1]),
        version: number(parts[2]),
        dnssecOK: parts[3].bool ?? false,
    )
}

private func record(_ form: JSON) -> DNSRecord? {
    guard let parts = form.array, parts.count == 5, let name = name(parts[0]), let data = data(parts[4]) else {
        return nil
    }
    let type = DNSType(rawValue: number(parts[1]))
    return DNSRecord(name: name, type: type, class: number(parts[2]), ttl: number(parts[3]), data: data)
}

private func data(_ form: JSON) -> DNSRecord.Data? {
    guard let parts = form.array, let kind = parts.first?.string else { return nil }
    switch (kind, parts.count) {
    case ("address", 2): return parts[1].string.flatMap { IPAddress($0) }.map { .address($0) }
    case ("name", 2): return name(parts[1]).map { .name($0) }
    case ("service", 5):
        return name(parts[4]).map {
            .service(priority: number(parts[1]), weight: number(parts[2]), port: number(parts[3]), target: $0)
        }
    case ("binding", 4):
        guard let target = name(parts[2]), let parameters = list(parts[3], parameter) else { return nil }
        return .binding(priority: number(parts[1]), target: target, parameters: parameters)
    case ("authority", 8):
        guard let primary = name(parts[1]), let mailbox = name(parts[2]) else { return nil }
        return .authority(
            primary: primary,
            mailbox: mailbox,
            serial: number(parts[3]),
            refresh: number(parts[4]),
            retry: number(parts[5]),
            expire: number(parts[6]),
            minimum: number(parts[7]),
        )
    case ("opaque", 2): return bytes(parts[1]).map { .opaque($0) }
    default: return nil
    }
}

private func parameter(_ form: JSON) -> ServiceParameter? {
    guard let parts = form.array, parts.count == 2, let value = bytes(parts[1]) else { return nil }
    return ServiceParameter(key: number(parts[0]), value: value)
}

private func name(_ form: JSON) -> DNSName? { bytes(form).flatMap { DNSName(wire: $0) } }

private func bytes(_ form: JSON?) -> [UInt8]? { form?.string.flatMap { bytes(hex: $0) } }

private func number<Number: FixedWidthInteger>(_ form: JSON) -> Number { Number(clamping: form.integer ?? 0) }
