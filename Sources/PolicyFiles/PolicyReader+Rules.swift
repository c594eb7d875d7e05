import Model
import Policy

extension PolicyReader {
    private static let toExample = "[packages.example.org]"
    private static let anyPorts = "write 'ports: [any]'"

    /// Reads `allow`.
    mutating func allowRules(_ node: YAMLNode) -> [Rule] {
        var names: [String: Mark] = [:]
        return rules(node, "allow") { reader, item, number in
            reader.allowRule(item, number: number, names: &names)
        }
    }

    /// Reads `deny`, whose rules share their names with those of `allow`.
    mutating func denyRules(_ node: YAMLNode, besides allow: [Rule]) -> [Rule] {
        let taken = Set(allow.map(\.name))
        var names: [String: Mark] = [:]
        return rules(node, "deny") { reader, item, number in
            reader.denyRule(item, number: number, names: &names, taken: taken)
        }
    }

    /// Reads `listen`.
    mutating func listenRules(_ node: YAMLNode) -> [ListenRule] {
        var names: [String: Mark] = [:]
        return rules(node, "listen") { reader, item, number in
            reader.listenRule(item, number: number, names: &names)
        }
    }

    private mutating func rules<Line>(
        _ node: YAMLNode,
        _ key: String,
        _ read: (inout PolicyReader, YAMLNode, Int) -> Line?,
    ) -> [Line] {
        let example = key == "listen" ? "[{from: …, ports: …}]" : "[{to: …, ports: …}]"
        guard let items = report.items(node, key, example: example) else { return [] }
        var lines: [Line] = []
        lines.reserveCapacity(items.count)
        for (index, item) in items.enumerated() {
            if let line = read(&self, item, index + 1) { lines.append(line) }
        }
        return lines
    }

    private mutating func allowRule(_ node: YAMLNode, number: Int, names: inout [String: Mark]) -> Rule? {
        let keys = ["name", "to", "ports", "protocol", "executable", "types"]
        guard let members = Members(node, of: "a rule", keys: keys, &report) else { return nil }
        let name = ruleName(members, "allow-\(number)", names: &names)
        let targets = readTargets(members)
        let ports = members["ports"].flatMap { readPorts($0) }
        if members.lacks("ports") {
            report.add(members.mark, "rule '\(name)' has no 'ports'; \(Self.anyPorts)")
        }
        let executable = members["executable"].flatMap { readExecutable($0) }
        let application = readApplication(members, name: name, targets: targets, ports: ports)
        let types = members["types"].flatMap { readTypes($0, rule: name, targets: targets) }
        guard let targets, let ports, let application else { return nil }
        return Rule(
            name: name,
            targets: targets,
            ports: ports,
            application: application,
            executable: executable,
            types: types ?? [],
        )
    }

    private mutating func denyRule(
        _ node: YAMLNode,
        number: Int,
        names: inout [String: Mark],
        taken: Set<String>,
    ) -> Rule? {
        let hints = [
            "protocol": "a deny covers every protocol; remove it",
            "executable": "a deny covers every program; remove it",
            "types": "a deny covers every type; remove it",
        ]
        guard let members = Members(node, of: "a rule", keys: ["name", "to", "ports"], hints: hints, &report) else {
            return nil
        }
        let name = ruleName(members, "deny-\(number)", names: &names, taken: taken)
        let targets = readTargets(members)
        let ports = members["ports"].map { readPorts($0) } ?? [.any]
        guard let targets, let ports else { return nil }
        return Rule(name: name, targets: targets, ports: ports)
    }

    private mutating func listenRule(_ node: YAMLNode, number: Int, names: inout [String: Mark]) -> ListenRule? {
        let hints = ["to": "did you mean 'from'?"]
        guard let members = Members(node, of: "a rule", keys: ["name", "from", "ports"], hints: hints, &report) else {
            return nil
        }
        let name = ruleName(members, "listen-\(number)", names: &names)
        if members.lacks("from") {
            report.add(members.mark, "rule '\(name)' has no 'from'; write 'from: [any]' or who may connect")
        }
        if members.lacks("ports") {
            report.add(members.mark, "rule '\(name)' has no 'ports'; \(Self.anyPorts)")
        }
        let from = members["from"].flatMap { node in
            report.values(node, "from", example: "[10.30.0.0/16]") { (text) throws(TextError) in
                guard case let target = try Target(text), !target.isName else {
                    throw TextError("\(TextError.quote(text)) is a name; 'from' takes addresses, prefixes or any")
                }
                return target
            }
        }
        let ports = members["ports"].flatMap { readPorts($0) }
        guard let from, let ports else { return nil }
        return ListenRule(name: name, from: from.flatMap(\.prefixes), ports: ports)
    }

    /// The name of a rule: given, or made from its place.
    private mutating func ruleName(
        _ members: Members,
        _ otherwise: String,
        names: inout [String: Mark],
        taken: Set<String> = [],
    ) -> String {
        let given = members["name"].flatMap { readName($0, "name") }
        let (name, mark) = (given ?? otherwise, members["name"]?.mark ?? members.mark)
        if let first = names[name] {
            report.add(mark, "duplicate rule name '\(name)'; it is already on line \(first.line)")
        } else if taken.contains(name) {
            report.add(mark, "duplicate rule name '\(name)'; a rule of 'allow' has it")
        }
        names[name] = names[name] ?? mark
        return name
    }

    private mutating func readTargets(_ members: Members) -> [Target]? {
        guard let node = members["to"] else {
            if members.lacks("to") {
                report.add(members.mark, "required key 'to' is missing; write 'to: \(Self.toExample)'")
            }
            return nil
        }
        return report.values(node, "to", example: Self.toExample) { (text) throws(TextError) in try Target(text) }
    }

    private mutating func readPorts(_ node: YAMLNode) -> [PortSpec]? {
        report.values(node, "ports", example: "[443]") { (text) throws(TextError) in try PortSpec(text) }
    }

    private mutating func readTypes(_ node: YAMLNode, rule: String, targets: [Target]?) -> [String]? {
        if let targets, !targets.contains(where: { $0.isName || $0 == .any }) {
            report.add(node.mark, "rule '\(rule)' has 'types' but no name in 'to'; name one, or remove 'types'")
        }
        return report.values(node, "types", example: "[TXT]") { (text) throws(TextError) in
            try RecordType.read(text)
        }
    }
}

extension Target {
    /// The prefixes of a target that is not a name.
    fileprivate var prefixes: [AddressPrefix] {
        switch self {
        case .any: [.allV4, .allV6]
        case .prefix(let prefix): [prefix]
        case .name: []
        }
    }
}
