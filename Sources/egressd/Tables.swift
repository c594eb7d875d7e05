internal import Glibc
internal import Model

/// Prints the daemon's answers for people.
enum Tables {
    private static let coloured = isatty(STDOUT_FILENO) == 1

    static func status(_ status: JSON) {
        for (key, value) in status.object ?? [] {
            switch key {
            case "warnings":
                for warning in value.array ?? [] { print("warning: \(warning.string ?? "")") }
            case "counters":
                for (name, count) in value.object ?? [] { print("\(name): \(count)") }
            default:
                print("\(key): \(value.string ?? value.description)")
            }
        }
    }

    static func workloads(_ answer: JSON) {
        table(
            ["WORKLOAD", "UNKNOWN", "GENERATION", "CGROUPS", "FILE"],
            (answer["workloads"]?.array ?? []).map { workload in
                [
                    text(workload["name"]), text(workload["unknown"]), text(workload["generation"]),
                    "\(workload["cgroups"]?.array?.count ?? 0)", text(workload["file"]),
                ]
            },
            empty: "no workloads",
        )
    }

    static func requests(_ answer: JSON) {
        table(
            ["REQUEST", "WORKLOAD", "DESTINATION", "VERDICT", "REASON", "COUNT", "LAST (UTC)", "PROGRAM", "FINDING"],
            (answer["requests"]?.array ?? []).map { request in
                [
                    text(request["request"]), text(request["workload"]),
                    (text(request["kind"]) == "inbound" ? "from " : "") + destination(request["destination"])
                        + known(as: request["knownAs"]?.array ?? []),
                    text(request["verdict"]) + (request["held"]?.bool == true ? " (waits)" : ""),
                    text(request["reason"]), text(request["count"]), time(request["last"]),
                    text(request["executable"]), text(request["finding"]),
                ]
            },
            empty: "no requests",
        )
    }

    static func grants(_ answer: JSON) {
        table(
            ["GRANT", "WORKLOAD", "DESTINATION", "EXPIRES (UTC)", "BY", "REASON"],
            (answer["grants"]?.array ?? []).map { grant in
                [
                    text(grant["grant"]), text(grant["workload"]), destination(grant["destination"]),
                    time(grant["expires"]), text(grant["actor"]), text(grant["reason"]),
                ]
            },
            empty: "no grants",
        )
    }

    static func names(_ answer: JSON) {
        table(
            ["WORKLOAD", "NAME", "ADDRESS", "AGE", "EXPIRES (UTC)"],
            (answer["names"]?.array ?? []).map { name in
                [
                    text(name["workload"]), text(name["name"]), text(name["address"]), age(name["age"]),
                    time(name["expires"]),
                ]
            },
            empty: "no names",
        )
    }

    static func reloaded(_ answer: JSON) {
        let count = answer["workloads"]?.integer ?? 0
        print("\(count) workload\(count == 1 ? "" : "s") in force")
    }

    static func approved(_ answer: JSON) {
        let grant = answer["grant"] ?? .null
        let replaced = (answer["replaces"]?.array ?? []).map { text($0) }.joined(separator: ", ")
        print(
            "grant \(text(grant["grant"])): \(text(grant["workload"])) may reach \(destination(grant["destination"])) "
                + "until \(time(grant["expires"])) UTC"
                + (replaced.isEmpty ? "" : "; it takes the place of grant \(replaced)"),
        )
    }

    /// One event on one line.
    static func line(_ event: JSON) -> String {
        let verdict = event["verdict"]?.string ?? ""
        let colour = ["deny": "31", "hold": "33", "observe": "33", "allow": "32"][verdict]
        let shown = coloured ? colour.map { "\u{1b}[\($0)m\(verdict)\u{1b}[0m" } ?? verdict : verdict
        var parts = [time(event["time"]) + "Z", text(event["kind"])]
        if !verdict.isEmpty { parts.append(shown) }
        if let reason = event["reason"]?.string { parts.append(reason) }
        if let workload = event["workload"]?.string { parts.append(workload) }
        if let value = event["destination"] {
            // An address that is known by a name has both.
            let name = value["address"].flatMap { _ in value["name"] }
            parts.append(destination(value) + known(as: name.map { [$0] } ?? []))
            if let application = value["application"]?.string { parts.append("application=\(oneLine(application))") }
        }
        if let name = event["flight"]?["serverName"]?.string { parts.append("server-name=\(oneLine(name))") }
        if let rule = event["rule"]?.string { parts.append("rule=\(rule)") }
        if let finding = event["finding"]?.string { parts.append("finding=\(finding)") }
        if let process = event["process"] {
            if let pid = process["pid"]?.integer { parts.append("pid=\(pid)") }
            if let uid = process["uid"]?.integer { parts.append("uid=\(uid)") }
            if let command = process["command"]?.array, !command.isEmpty {
                parts.append("[\(command.compactMap(\.string).map(oneLine).joined(separator: " "))]")
            }
        }
        if let count = event["count"]?.integer { parts.append("×\(count)") }
        if let grant = event["grant"]?.integer { parts.append("grant=\(grant)") }
        if let approval = event["approval"] {
            let ports = (approval["ports"]?.array ?? []).map { text($0) }
            if !ports.isEmpty { parts.append("ports=\(ports.joined(separator: ","))") }
            if let spoken = approval["protocol"] { parts.append("protocol=\(text(spoken))") }
            parts.append("until=\(time(approval["expires"]).split(separator: " ").joined(separator: "T"))Z")
        }
        if let actor = event["actor"]?.string { parts.append("by=\(oneLine(actor))") }
        if let message = event["message"]?.string { parts.append(oneLine(message)) }
        return parts.joined(separator: " ")
    }

    /// Text that a process chose, with nothing in it that a terminal would act on.
    private static func oneLine(_ text: String) -> String { text.oneLine }

    private static func text(_ value: JSON?) -> String {
        guard let value, !value.isNull else { return "-" }
        return oneLine(value.string ?? value.description)
    }

    private static func time(_ value: JSON?) -> String {
        guard let text = value?.string else { return "-" }
        return String(text.prefix(19)).split(separator: "T").joined(separator: " ")
    }

    /// A length of time in its largest unit: `59s`, `3m`, `47h`, `2d`.
    private static func age(_ value: JSON?) -> String {
        guard let seconds = value?.integer else { return "-" }
        return switch seconds {
        case ..<120: "\(seconds)s"
        case ..<7200: "\(seconds / 60)m"
        case ..<172_800: "\(seconds / 3600)h"
        default: "\(seconds / 86_400)d"
        }
    }

    /// The names of an address, after it: ` (git.example.org, www.example.org and 2 more)`.
    private static func known(as names: [JSON]) -> String {
        guard !names.isEmpty else { return "" }
        let shown = names.prefix(2).map { text($0) }.joined(separator: ", ")
        return " (\(shown)\(names.count > 2 ? " and \(names.count - 2) more" : ""))"
    }

    /// An address with port and transport, or a name with the ports that a grant has.
    private static func destination(_ value: JSON?) -> String {
        guard let address = value?["address"]?.string else {
            if value?["others"]?.bool == true { return "other destinations" }
            guard let ports = value?["ports"]?.array else { return text(value?["name"]) }
            let spoken = value?["protocol"]?.string.map { " \(oneLine($0))" } ?? ""
            return text(value?["name"]) + " " + ports.map { text($0) }.joined(separator: ",") + spoken
        }
        // What a name was answered with has neither port nor transport.
        guard let transport = value?["transport"]?.string else { return address }
        guard transport == "tcp" || transport == "udp" else { return "\(address)/\(transport)" }
        let host = address.contains(":") ? "[\(address)]" : address
        return "\(host):\(value?["port"]?.integer ?? 0)/\(transport)"
    }

    private static func table(_ header: [String], _ rows: [[String]], empty: String) {
        guard !rows.isEmpty else { return print(empty) }
        let lines = [header] + rows
        let widths = header.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        for line in lines {
            let cells = line.indices.map { column in
                column == line.count - 1
                    ? line[column] : line[column] + String(repeating: " ", count: widths[column] - line[column].count)
            }
            print(cells.joined(separator: "  "))
        }
    }
}
