package import Model

/// One entry of a rule's `ports`.
package struct PortSpec: Hashable, Sendable {
    /// The transport; nil is TCP and UDP.
    package let transport: Transport?
    package let range: PortRange

    package init(transport: Transport?, range: PortRange) {
        self.transport = transport
        self.range = range
    }

    /// Every port of TCP and UDP.
    package static let any = PortSpec(transport: nil, range: .all)

    /// Whether the port is covered; never for a transport without ports.
    package func covers(_ port: UInt16, _ transport: Transport) -> Bool {
        transport.hasPorts && (self.transport == nil || self.transport == transport) && range.contains(port)
    }

    /// The transports that are meant: one, or TCP and UDP.
    package var transports: [Transport] { transport.map { [$0] } ?? [.tcp, .udp] }
}

extension PortSpec: CustomStringConvertible {
    /// As it is written in a policy file: `443`, `123/udp`, `9000-9010`, `any`, `any/udp`.
    package var description: String {
        switch transport {
        case nil: "\(range)"
        case .tcp? where range != .all: "\(range)"
        case let transport?: "\(range)/\(transport)"
        }
    }
}

extension PortSpec {
    /// Reads `443` (TCP), `443/tcp`, `123/udp`, `9000-9010`, `9000-9010/udp`, `any` (TCP and UDP), `any/tcp` or
    /// `any/udp`.
    package init(_ text: String) throws(TextError) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        var transport: Transport?
        switch parts.count {
        case 1: transport = parts[0] == "any" ? nil : .tcp
        case 2 where parts[1] == "tcp": transport = .tcp
        case 2 where parts[1] == "udp": transport = .udp
        default:
            let port = parts[0].isEmpty ? "443" : String(parts[0])
            throw TextError(
                "port \(TextError.quote(text)) has no transport that has ports; write \(port)/tcp or \(port)/udp"
            )
        }
        if parts[0] == "any" {
            self.init(transport: transport, range: .all)
            return
        }
        let bounds = parts[0].split(separator: "-", omittingEmptySubsequences: false)
        guard let first = bounds.first.flatMap({ Self.port($0) }), bounds.count <= 2,
            let last = bounds.last.flatMap({ Self.port($0) })
        else {
            throw TextError("\(TextError.quote(text)) is no port; write 1...65535, a range like 9000-9010, or any")
        }
        guard let range = PortRange(first, last) else {
            let mend = "write \(last)-\(first)\(transport == .udp ? "/udp" : "")"
            throw TextError("port range \(TextError.quote(text)) is in the wrong order; \(mend)")
        }
        self.init(transport: transport, range: range)
    }

    private static func port(_ text: some StringProtocol) -> UInt16? {
        guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            text.utf8.first != UInt8(ascii: "0")
        else { return nil }
        return UInt16(text)
    }
}
