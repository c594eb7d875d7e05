import Model
import Policy

extension PolicyReader {
    /// The protocol of an allow rule: given, or `tls` for names and `any` for addresses.
    mutating func readApplication(
        _ members: Members,
        name: String,
        targets: [Target]?,
        ports: [PortSpec]?,
    ) -> ApplicationProtocol? {
        let node = members["protocol"]
        let application: ApplicationProtocol
        if let node {
            guard let given = readProtocol(node) else { return nil }
            application = given
        } else {
            guard let targets else { return .any }
            let names = targets.count { $0.isName }
            if names != 0, names != targets.count {
                let mend = "write 'protocol:', or make it two rules"
                report.add(members.mark, "rule '\(name)' mixes names (tls) and addresses (any); \(mend)")
                return nil
            }
            application = names == 0 ? .any : .tls
        }
        guard let transport = application.transport, let ports else { return application }
        if let other = ports.first(where: { $0.transport != nil && $0.transport != transport }) {
            let isDefault = node == nil ? " (the default for names)" : ""
            let mend =
                application == .quic
                ? "write \(other.range)/udp" : "write \(other.range)/tcp, or 'protocol: any' to trust the address alone"
            let mark = node?.mark ?? members["ports"]?.mark ?? members.mark
            let what = "protocol \(application.rawValue)\(isDefault)"
            report.add(mark, "\(what) is not spoken over \(other.range)/\(other.transport ?? .tcp); \(mend)")
            return nil
        }
        return application
    }

    private mutating func readProtocol(_ node: YAMLNode) -> ApplicationProtocol? {
        guard let text = report.text(node, "protocol") else { return nil }
        if let known = ApplicationProtocol(rawValue: text) { return known }
        let names = ApplicationProtocol.allCases.map(\.rawValue)
        let quoted = TextError.quote(text)
        switch text {
        case "tcp", "udp":
            report.add(node.mark, "\(quoted) is a transport; write it at the ports, like 443/\(text)")
        case "https":
            report.add(node.mark, "unknown protocol 'https'; did you mean 'tls'?")
        default:
            let near = Spelling.nearest(to: text, among: names).map { "did you mean '\($0)'?" }
            report.add(node.mark, "unknown protocol \(quoted); \(near ?? "write \(names.joined(separator: ", "))")")
        }
        return nil
    }
}
