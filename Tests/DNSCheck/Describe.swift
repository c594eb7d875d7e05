import Model
import Wire

/// What a message says, or why it is refused; and whether it is read as a query.
func describe(_ line: String) -> String {
    guard let bytes = bytes(hex: line) else { return "no hexadecimal digits" }
    var members: [(key: String, value: JSON)] = []
    do throws(DNSError) {
        members += form(of: try DNSMessage(bytes.rawBytes))
    } catch {
        members.append(("error", .string(error.description)))
    }
    do throws(DNSError) {
        let query = try DNSQuery(bytes.rawBytes)
        members.append(("query", form(of: query.question)))
    } catch {
        members.append(("refused", .string(error.description)))
    }
    return JSON.object(members).description
}

private func form(of message: DNSMessage) -> [(key: String, value: JSON)] {
    let written = DNSMessage(header: message.header).encoded()
    return [
        ("header", .string(hex(written.prefix(4)))),
        ("questions", .array(message.questions.map(form(of:)))),
        ("answers", .array(message.answers.map(form(of:)))),
        ("authorities", .array(message.authorities.map(form(of:)))),
        ("additionals", .array(message.additionals.map(form(of:)))),
        ("extension", message.extension.map(form(of:)) ?? .null),
    ]
}

private func form(of question: DNSQuestion) -> JSON {
    [form(of: question.name), number(question.type.rawValue), number(question.class)]
}

private func form(of opt: DNSExtension) -> JSON {
    [number(opt.payloadSize), number(opt.extendedCode), number(opt.version), .bool(opt.dnssecOK)]
}

private func form(of record: DNSRecord) -> JSON {
    [
        form(of: record.name), number(record.type.rawValue), number(record.class), number(record.ttl),
        .array(form(of: record.data)),
    ]
}

private func form(of data: DNSRecord.Data) -> [JSON] {
    switch data {
    case .address(let address): ["address", .string(address.description)]
    case .name(let name): ["name", form(of: name)]
    case .service(let priority, let weight, let port, let target):
        ["service", number(priority), number(weight), number(port), form(of: target)]
    case .binding(let priority, let target, let parameters):
        [
            "binding", number(priority), form(of: target),
            .array(parameters.map { [number($0.key), .string(hex($0.value[...]))] }),
        ]
    case .authority(let primary, let mailbox, let serial, let refresh, let retry, let expire, let minimum):
        ["authority", form(of: primary), form(of: mailbox)] + [serial, refresh, retry, expire, minimum].map(number)
    case .opaque(let bytes): ["opaque", .string(hex(bytes[...]))]
    }
}

private func form(of name: DNSName) -> JSON { .string(hex(name.wire[...])) }

private func number(_ value: some FixedWidthInteger) -> JSON { .integer(Int64(clamping: value)) }
