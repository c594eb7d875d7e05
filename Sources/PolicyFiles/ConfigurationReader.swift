import Model

/// Reads the host configuration.
package struct ConfigurationReader {
    var report: Report

    /// The longest path that fits into `sockaddr_un`.
    private static let socketPathLimit = 107

    private static let keys = [
        "policies", "mode", "unidentified", "dns", "control", "state", "roles", "context", "queue", "owner",
    ]

    /// Reads a configuration from its bytes; throws every mistake in it.
    ///
    /// Made for whatever bytes come: it never traps.
    package static func read(_ bytes: [UInt8], file: String) throws(PolicyErrors) -> HostConfiguration {
        let root: YAMLNode
        do { root = try YAMLReader.read(bytes, file: file, mayBeEmpty: true) } catch { throw PolicyErrors([error]) }
        var reader = ConfigurationReader(report: Report(file: file))
        let configuration = reader.configuration(root)
        guard reader.report.errors.isEmpty else { throw PolicyErrors(reader.report.errors) }
        return configuration
    }

    private mutating func configuration(_ root: YAMLNode) -> HostConfiguration {
        var configuration = HostConfiguration()
        configuration.path = report.file
        guard let members = Members(root, of: "the configuration", keys: Self.keys, &report) else {
            return configuration
        }
        if let node = members["policies"] { configuration.policies = path(node, "policies") ?? "" }
        if let node = members["mode"] { configuration.mode = choice(node, "mode") ?? .enforce }
        if let node = members["unidentified"] { configuration.unidentified = choice(node, "unidentified") ?? .deny }
        if let node = members["dns"] { dns(node, &configuration) }
        if let node = members["control"] { configuration.control = socket(node) ?? "" }
        if let node = members["state"] { configuration.state = path(node, "state") ?? "" }
        if let node = members["roles"], let roles = Members(node, of: "'roles'", keys: ["approver", "viewer"], &report)
        {
            configuration.approverGroup = roles["approver"].flatMap { group($0, "approver") }
            configuration.viewerGroup = roles["viewer"].flatMap { group($0, "viewer") }
        }
        if let node = members["context"] { configuration.context = context(node) }
        if let node = members["queue"] { configuration.queue = queue(node) ?? 0 }
        if let node = members["owner"] { configuration.owner = choice(node, "owner") ?? .auto }
        return configuration
    }

    private mutating func path(_ node: YAMLNode, _ key: String) -> String? {
        guard let text = report.text(node, key) else { return nil }
        guard text.utf8.first == UInt8(ascii: "/"), text.utf8.count < 4096 else {
            report.add(node.mark, "\(TextError.quote(text)) is no absolute path; write '\(key): /…'")
            return nil
        }
        return text
    }

    private mutating func socket(_ node: YAMLNode) -> String? {
        guard let text = path(node, "control") else { return nil }
        guard text.utf8.count <= Self.socketPathLimit else {
            let limit = "a socket's path has at most \(Self.socketPathLimit); write a shorter one"
            report.add(node.mark, "'control' has \(text.utf8.count) bytes, and \(limit)")
            return nil
        }
        return text
    }

    private mutating func choice<Choice: RawRepresentable & CaseIterable>(_ node: YAMLNode, _ key: String) -> Choice?
    where Choice.RawValue == String {
        guard let text = report.text(node, key) else { return nil }
        if let choice = Choice(rawValue: text) { return choice }
        let names = Choice.allCases.map(\.rawValue)
        let mend = Spelling.nearest(to: text, among: names).map { "did you mean '\($0)'?" }
        report.add(
            node.mark,
            "\(TextError.quote(text)) is no value of '\(key)'; \(mend ?? "write \(names.joined(separator: ", "))")",
        )
        return nil
    }

    private mutating func group(_ node: YAMLNode, _ key: String) -> String? {
        guard let text = report.text(node, key) else { return nil }
        let isName = text.utf8.count <= 64 && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: ":") }
        guard isName else {
            report.add(node.mark, "\(TextError.quote(text)) is no name of a group; write one like egress-approvers")
            return nil
        }
        return text
    }

    private mutating func context(_ node: YAMLNode) -> [String] {
        // None is a choice here: it is how a host says that no environment goes into events.
        if case .sequence(let items) = node.content, items.isEmpty { return [] }
        let names = report.values(node, "context", example: "[SLURM_JOB_ID]") { (text) throws(TextError) in
            let isName =
                text.utf8.count <= 64
                && text.utf8.enumerated().allSatisfy { index, byte in
                    switch byte {
                    case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                        UInt8(ascii: "_"):
                        true
                    case UInt8(ascii: "0")...UInt8(ascii: "9"): index > 0
                    default: false
                    }
                }
            guard isName else {
                throw TextError("\(TextError.quote(text)) is no environment variable; write letters, digits and '_'")
            }
            return text
        }
        guard let names, names.count > 32 else { return names ?? [] }
        report.add(node.mark, "'context' has \(names.count) variables; write at most 32")
        return names
    }

    private mutating func queue(_ node: YAMLNode) -> UInt16? {
        guard let text = report.text(node, "queue") else { return nil }
        // Room for the queues that follow the first.
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let queue = UInt16(text), queue <= 65_000 else {
            report.add(node.mark, "\(TextError.quote(text)) is no queue number; write one of 0...65000")
            return nil
        }
        return queue
    }
}
