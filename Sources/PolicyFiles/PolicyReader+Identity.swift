import Model
import Policy

extension PolicyReader {
    /// What proves that a process is the workload's.
    struct Identity {
        var glob: CgroupGlob
        var mark: Mark
        var user: UInt32?
        var userName: String?
    }

    private static let identityHints = [
        "executable": "an identity has none; put 'executable' on the rules that need it",
        "uid": "did you mean 'user'? It takes a number too",
    ]

    /// Reads `identity`; nil, and reported, when it does not say which cgroups.
    mutating func readIdentity(_ policy: Members) -> Identity? {
        guard let node = policy["identity"] else {
            guard policy.lacks("identity") else { return nil }
            report.add(policy.mark, "required key 'identity' is missing; write 'identity: {cgroup: GLOB}'")
            return nil
        }
        let keys = ["cgroup", "user"]
        guard let members = Members(node, of: "'identity'", keys: keys, hints: Self.identityHints, &report) else {
            return nil
        }
        let user = members["user"].flatMap { readUser($0) }
        guard let globNode = members["cgroup"] else {
            guard members.lacks("cgroup") else { return nil }
            let mend = "write 'cgroup: training.slice/NAME.service'"
            report.add(members.mark, "required key 'cgroup' is missing from 'identity'; \(mend)")
            return nil
        }
        let glob = report.value(globNode, "cgroup") { (text) throws(TextError) in try CgroupGlob(text) }
        return glob.map { Identity(glob: $0, mark: globNode.mark, user: user?.uid, userName: user?.name) }
    }

    private mutating func readUser(_ node: YAMLNode) -> (name: String, uid: UInt32)? {
        guard let text = report.text(node, "user") else { return nil }
        let quoted = TextError.quote(text)
        if text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
            // The kernel takes the last number for "no change".
            guard let uid = UInt32(text), uid != .max else {
                report.add(node.mark, "user \(quoted) is no uid; write one of 0...4294967294")
                return nil
            }
            return (text, uid)
        }
        guard text.utf8.count <= 256, !text.utf8.contains(0), let uid = resolveUser(text) else {
            report.add(node.mark, "unknown user \(quoted); create it first, or write its uid")
            return nil
        }
        return (text, uid)
    }
}
