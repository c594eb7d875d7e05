import Model

/// An event as the journal takes it: fields, one after the other, in its native protocol.
///
/// `NAME=value\n`; where the value has a line feed, `NAME\n`, its length in 64 bits little endian, the value, `\n`
/// (systemd.io/JOURNAL_NATIVE_PROTOCOL). So no text that a process chose can begin a field.
struct JournalEntry {
    private(set) var bytes: [UInt8] = []

    /// The fields of an event: `MESSAGE`, `PRIORITY`, and one `EGRESSD_…` for each value it has.
    init(_ event: Event) {
        add("MESSAGE", event.summary)
        add("PRIORITY", event.priority)
        add("SYSLOG_IDENTIFIER", "egressd")
        for (name, value) in event.journalFields { add(name, value) }
        for (key, value) in event.context.sorted(by: { $0.key < $1.key }) {
            if let name = Self.name(ofContext: key) { add(name, value) }
        }
    }

    /// A line of our own, of priority warning.
    init(warning: String) {
        add("MESSAGE", warning)
        add("PRIORITY", "4")
        add("SYSLOG_IDENTIFIER", "egressd")
    }

    /// `EGRESSD_CONTEXT_` and the variable's name, when the journal takes that: at most 64 of A–Z, 0–9 and `_`.
    private static func name(ofContext key: String) -> String? {
        let name = "EGRESSD_CONTEXT_" + key.uppercased()
        let isTaken = name.utf8.allSatisfy { byte in
            (0x41...0x5a).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x5f
        }
        return isTaken && name.utf8.count <= 64 ? name : nil
    }

    private mutating func add(_ name: String, _ value: String?) {
        guard let value else { return }
        let text = Array(value.utf8)
        bytes += name.utf8
        if text.contains(0x0a) {
            bytes.append(0x0a)
            for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: text.count >> shift)) }
        } else {
            bytes.append(0x3d)
        }
        bytes += text
        bytes.append(0x0a)
    }
}

extension Event {
    /// What `journalctl` shows on its line.
    fileprivate var summary: String {
        var parts = [kind.rawValue]
        parts += [verdict?.rawValue, reason?.rawValue, workload].compactMap(\.self)
        if let destination { parts.append("\(destination)") }
        if let name { parts.append(destination == nil ? name : "(\(name))") }
        if let executable = process?.executable { parts.append(executable) }
        if let pid = process?.pid { parts.append("pid \(pid)") }
        if let finding { parts.append(finding.rawValue) }
        if count != 1 { parts.append("×\(count)") }
        if let actor { parts.append("by \(actor)") }
        if let message { parts.append(message) }
        return parts.joined(separator: " ")
    }

    /// The level of syslog(3): an alarm is an error, what was refused a warning.
    fileprivate var priority: String {
        if kind == .alarm { return "3" }
        return switch verdict {
        case .deny: "4"
        case .hold, .observe: "5"
        case .allow, nil: "6"
        }
    }

    fileprivate var journalFields: [(String, String?)] {
        let port = destination.flatMap { $0.transport.hasPorts ? "\($0.port)" : nil }
        return [
            ("EGRESSD_SEQ", "\(sequence)"), ("EGRESSD_TIME", time.description), ("EGRESSD_KIND", kind.rawValue),
            ("EGRESSD_VERDICT", verdict?.rawValue), ("EGRESSD_REASON", reason?.rawValue),
            ("EGRESSD_WORKLOAD", workload), ("EGRESSD_RULE", rule), ("EGRESSD_GENERATION", text(generation)),
            ("EGRESSD_ADDRESS", (destination?.address ?? answer)?.description), ("EGRESSD_PORT", port),
            ("EGRESSD_TRANSPORT", destination?.transport.description), ("EGRESSD_NAME", name),
            ("EGRESSD_APPLICATION", application), ("EGRESSD_PID", text(process?.pid)),
            ("EGRESSD_UID", text(process?.uid)), ("EGRESSD_EXECUTABLE", process?.executable),
            ("EGRESSD_COMMAND", process.flatMap { $0.command.isEmpty ? nil : $0.command.joined(separator: " ") }),
            ("EGRESSD_CGROUP", process?.cgroup), ("EGRESSD_FINDING", finding?.rawValue),
            ("EGRESSD_REQUEST", text(request)), ("EGRESSD_COUNT", "\(count)"), ("EGRESSD_GRANT", text(grant)),
            ("EGRESSD_EXPIRES", approval?.expires.description),
            ("EGRESSD_PORTS", approval.flatMap { $0.ports.isEmpty ? nil : $0.ports.joined(separator: " ") }),
            ("EGRESSD_PROTOCOL", approval?.application),
            ("EGRESSD_ACTOR", actor), ("EGRESSD_LATENCY_USEC", text(latencyMicroseconds)),
        ]
    }

    private func text(_ number: (some BinaryInteger)?) -> String? { number.map { "\($0)" } }
}
