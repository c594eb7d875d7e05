package import Model

/// A test that travels with the policy: what the policy must say about one destination.
package struct Expectation: Hashable, Sendable {
    /// What is asked for.
    package enum Subject: Hashable, Sendable {
        case address(IPAddress)
        case name(DomainName)
    }

    package var subject: Subject
    package var port: UInt16
    package var transport: Transport
    /// The program that asks; nil stands for whichever program a rule wants.
    package var executable: String?
    /// What must come out, `unknown:` taken into account.
    package var verdict: Verdict

    package init(
        subject: Subject,
        port: UInt16,
        transport: Transport = .tcp,
        executable: String? = nil,
        verdict: Verdict,
    ) {
        self.subject = subject
        self.port = port
        self.transport = transport
        self.executable = executable
        self.verdict = verdict
    }

    /// The destination as it is written: `packages.example.org:443`, `[2001:db8::9]:53/udp`.
    package var to: String {
        let suffix = transport == .tcp ? "" : "/\(transport)"
        switch subject {
        case .name(let name): return "\(name):\(port)\(suffix)"
        case .address(let address):
            return address.isV4 ? "\(address):\(port)\(suffix)" : "[\(address)]:\(port)\(suffix)"
        }
    }
}

extension Expectation.Subject {
    /// Reads `name:port`, `address:port` or `[v6]:port`, each with `/tcp` or `/udp` after it if need be.
    package static func read(
        _ text: String,
    ) throws(TextError) -> (subject: Expectation.Subject, port: UInt16, transport: Transport) {
        let quoted = TextError.quote(text)
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")), text.utf8.last != UInt8(ascii: "]") else {
            throw TextError("\(quoted) has no port; write it like packages.example.org:443 or [2001:db8::1]:443")
        }
        let spec = try PortSpec(String(text[text.utf8.index(after: colon)...]))
        guard let transport = spec.transport, spec.range.count == 1 else {
            throw TextError("\(quoted) names more than one port; write exactly one, like \(text[..<colon]):443")
        }
        let host = String(text[..<colon])
        if host.utf8.first == UInt8(ascii: "["), host.utf8.last == UInt8(ascii: "]") {
            guard let address = IPAddress(String(host.dropFirst().dropLast())), host.contains(":") else {
                throw TextError("\(quoted) has no IPv6 address in its brackets; write it like [2001:db8::1]:443")
            }
            return (.address(address), spec.range.lower, transport)
        }
        if host.contains(":") {
            throw TextError("\(quoted) has an IPv6 address without brackets; write it like [2001:db8::1]:443")
        }
        if let address = IPAddress(host) { return (.address(address), spec.range.lower, transport) }
        return (.name(try DomainName(host)), spec.range.lower, transport)
    }
}
