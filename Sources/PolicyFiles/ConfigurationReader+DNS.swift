import Model

extension ConfigurationReader {
    /// Reads `dns`.
    mutating func dns(_ node: YAMLNode, _ configuration: inout HostConfiguration) {
        guard let dns = Members(node, of: "'dns'", keys: ["upstream", "port", "budget"], &report) else { return }
        if ["upstream", "port", "budget"].allSatisfy(dns.lacks) {
            report.add(
                dns.mark,
                "required key 'upstream' is missing; write 'dns: {upstream: [10.0.0.2]}' or remove 'dns'"
            )
        }
        if let port = dns["port"].flatMap({ resolverPort($0) }) { configuration.dnsPort = port }
        if let budget = dns["budget"].flatMap({ nameBudget($0) }) { configuration.dnsBudget = budget }
        guard let list = dns["upstream"] else { return }
        configuration.dnsUpstreamsAreDefault = false
        configuration.dnsServers = upstreams(list, besides: configuration.dnsPort)
    }

    private mutating func upstreams(_ list: YAMLNode, besides own: UInt16) -> [Nameserver] {
        let servers = report.values(list, "upstream", example: "[10.0.0.2]") { (text) throws(TextError) in
            let server = try Nameserver(text)
            guard server.port != own || (server.address != .v4(0x7f00_0001) && server.address != .v6(1)) else {
                let mend = "write another resolver, or another 'port'"
                throw TextError(
                    "\(TextError.quote(text)) is the broker's own resolver, which would ask itself; \(mend)"
                )
            }
            return server
        }
        return servers ?? []
    }

    private mutating func nameBudget(_ node: YAMLNode) -> Int? {
        guard let text = report.text(node, "budget") else { return nil }
        guard let budget = Decimal.number(text, upTo: 1_000_000) else {
            report.add(node.mark, "\(TextError.quote(text)) is no number of names an hour; write one of 1...1000000")
            return nil
        }
        return budget
    }

    private mutating func resolverPort(_ node: YAMLNode) -> UInt16? {
        guard let text = report.text(node, "port") else { return nil }
        guard let port = Decimal.port(text), port >= 1024 else {
            report.add(node.mark, "\(TextError.quote(text)) is no port for the resolver; write one of 1024...65535")
            return nil
        }
        return port
    }
}
