import Model
package import Policy

/// Reads one policy file.
package struct PolicyReader {
    /// The workload and where its name and glob stand, for the checks across files.
    struct Parsed {
        var workload: Workload
        var nameMark: Mark
        var globMark: Mark
    }

    let resolveUser: (String) -> UInt32?
    var report: Report

    /// Reads a policy from its bytes; throws every mistake in it.
    ///
    /// Made for whatever bytes come: it never traps.
    package static func read(
        _ bytes: [UInt8],
        file: String,
        resolveUser: @escaping (String) -> UInt32?,
    ) throws(PolicyErrors) -> Workload {
        try parse(bytes, file: file, resolveUser: resolveUser).workload
    }

    static func parse(
        _ bytes: [UInt8],
        file: String,
        resolveUser: @escaping (String) -> UInt32?,
    ) throws(PolicyErrors) -> Parsed {
        let root: YAMLNode
        do { root = try YAMLReader.read(bytes, file: file) } catch { throw PolicyErrors([error]) }
        var reader = PolicyReader(resolveUser: resolveUser, report: Report(file: file))
        let parsed = reader.policy(root)
        guard let parsed, reader.report.errors.isEmpty else { throw PolicyErrors(reader.report.errors) }
        return parsed
    }

    private static let keys = [
        "workload", "owner", "description", "identity", "allow", "deny", "listen", "unknown", "expect",
    ]

    /// The policy; nil only when something was reported.
    private mutating func policy(_ root: YAMLNode) -> Parsed? {
        guard let members = Members(root, of: "a policy", keys: Self.keys, &report) else { return nil }
        if members.lacks("workload") {
            report.add(members.mark, "required key 'workload' is missing; write 'workload: NAME'")
        }
        let name = members["workload"].flatMap { readName($0, "workload") }
        let identity = readIdentity(members)
        let allow = members["allow"].map { allowRules($0) } ?? []
        let deny = members["deny"].map { denyRules($0, besides: allow) } ?? []
        let listen = members["listen"].map { listenRules($0) } ?? []
        let owner = members["owner"].flatMap { report.line($0, "owner", limit: 200) }
        let description = members["description"].flatMap { report.line($0, "description", limit: 1000) }
        let unknown = members["unknown"].flatMap { node in
            report.value(node, "unknown") { (text) throws(TextError) in try UnknownMode(text) }
        }
        let expect = members["expect"].map { expectations($0) } ?? []
        guard let name, let nameNode = members["workload"], let identity else { return nil }
        let workload = Workload(
            name: name,
            owner: owner,
            description: description,
            cgroup: identity.glob,
            user: identity.user,
            userName: identity.userName,
            allow: allow,
            deny: deny,
            listen: listen,
            unknown: unknown ?? .deny,
            expect: expect,
            file: report.file,
        )
        return Parsed(workload: workload, nameMark: nameNode.mark, globMark: identity.mark)
    }

    /// A name of a workload or a rule.
    mutating func readName(_ node: YAMLNode, _ key: String) -> String? {
        guard let text = report.text(node, key) else { return nil }
        let isName =
            text.utf8.count <= 63
            && text.utf8.enumerated().allSatisfy { index, byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
                case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"): index > 0
                default: false
                }
            }
        guard isName else {
            let rule = "write 1 to 63 of a-z, 0-9, '.', '_' and '-', a letter or digit first"
            report.add(node.mark, "\(TextError.quote(text)) is no name; \(rule)")
            return nil
        }
        return text
    }
}
