import Model
import Wire

/// What the HTTP request at the start of a stream is, that it is not whole, or why it is none.
func describeHTTP(_ stream: [UInt8]) -> JSON {
    do throws(HTTPError) {
        guard let head = try HTTPRequestHead.read(stream.rawBytes) else { return ["incomplete": true] }
        return [
            "version": .string("\(head.version)"),
            "method": .string(head.method),
            "application": .string(head.application.rawValue),
            "host": describe(head.host),
            "flaw": head.flaw.map { .string($0.description) } ?? .null,
        ]
    } catch {
        return ["error": .string(error.description)]
    }
}

private func describe(_ host: HTTPHost) -> JSON {
    switch host {
    case .absent: .null
    case .name(let name): ["name": .string(name.text)]
    case .address(let address): ["address": .string(address.description)]
    case .unreadable(let text): ["unreadable": .string(text)]
    }
}

/// The fields of blocks of one connection, each block behind its length of 16 bits, or why they cannot be decompressed.
func describeHPACK(_ blocks: [UInt8]) -> JSON {
    var decoder = HPACKDecoder()
    var described: [JSON] = []
    var offset = 0
    do throws(HPACKError) {
        while let length = blocks.rawBytes.network16(at: offset) {
            let block = (offset + 2)..<min(offset + 2 + Int(length), blocks.count)
            let fields = try decoder.fields(blocks.rawBytes, in: block)
            described.append(.array(fields.map { [hex($0.name), hex($0.value)] }))
            offset = block.upperBound
        }
    } catch {
        described.append(["error": .string(error.description)])
    }
    return .array(described)
}

/// The identification string of SSH at the start of what a client and a server sent.
func describeSSH(_ stream: [UInt8]) -> JSON {
    ["client": describe(stream, .client), "server": describe(stream, .server)]
}

private func describe(_ stream: [UInt8], _ side: SSHBanner.Side) -> JSON {
    do throws(SSHError) {
        guard let banner = try SSHBanner.read(stream.rawBytes, from: side) else { return ["incomplete": true] }
        return ["text": hex(stream[banner.range])]
    } catch {
        return ["error": .string(error.description)]
    }
}

/// What the bytes are by their signs: as a stream, as a datagram, as what a server says first.
func describeApplication(_ bytes: [UInt8]) -> JSON {
    [
        "stream": .string(Application.ofStream(bytes.rawBytes).rawValue),
        "datagram": .string(Application.ofDatagram(bytes.rawBytes).rawValue),
        "server": .string(Application.ofServer(bytes.rawBytes).rawValue),
        "excerpt": .string(Excerpt.text(bytes)),
    ]
}
