/// Which field of a JSON value kept it from being an event.
package struct EventError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The path of the field: `destination.port`.
    package let field: String

    package init(field: String) { self.field = field }

    package var description: String { "not an event: '\(field)' is missing or malformed" }
}

extension Event {
    /// The event as `ctl log --json` prints it.
    ///
    /// The names are a contract; what is absent is left out. `ProcessRecord.isCertain` is not part of it.
    package var json: JSON {
        JSON(present: [
            "seq": .integer(sequence),
            "time": .string(time.description),
            "kind": .string(kind.rawValue),
            "verdict": JSON(verdict?.rawValue),
            "reason": JSON(reason?.rawValue),
            "workload": JSON(workload),
            "rule": JSON(rule),
            "generation": JSON(generation),
            "destination": destinationJSON,
            "flight": flight?.json,
            "process": process?.json,
            "context": context.isEmpty ? nil : JSON(context),
            "finding": JSON(finding?.rawValue),
            "request": JSON(request),
            "count": count == 1 ? nil : JSON(count),
            "latencyMicroseconds": JSON(latencyMicroseconds),
            "grant": JSON(grant),
            "approval": approval?.json,
            "actor": JSON(actor),
            "message": JSON(message),
        ])
    }

    private var destinationJSON: JSON? {
        guard destination != nil || name != nil || answer != nil || application != nil else { return nil }
        return JSON(present: [
            "address": JSON((destination?.address ?? answer)?.description),
            "port": destination.flatMap { $0.transport.hasPorts || $0.port != 0 ? JSON($0.port) : nil },
            "transport": JSON(destination?.transport.description),
            "name": JSON(name),
            "application": JSON(application),
        ])
    }

    /// Reads what `json` gives; members that it does not know are left alone, so that an older egressd reads a newer record.
    package init(_ json: JSON) throws(EventError) {
        let fields = try Fields(json, path: "")
        self.init(
            time: try fields.required("time") { $0.string.flatMap { WallTime($0) } },
            kind: try fields.required("kind") { $0.string.flatMap { Kind(rawValue: $0) } },
        )
        sequence = try fields.optional("seq") { $0.integer } ?? 0
        verdict = try fields.optional("verdict") { $0.string.flatMap { Verdict(rawValue: $0) } }
        reason = try fields.optional("reason") { $0.string.flatMap { Reason(rawValue: $0) } }
        workload = try fields.optional("workload") { $0.string }
        rule = try fields.optional("rule") { $0.string }
        generation = try fields.optional("generation") { $0.integer.flatMap { UInt32(exactly: $0) } }
        context = try fields.optional("context") { $0.strings } ?? [:]
        finding = try fields.optional("finding") { $0.string.flatMap { Finding(rawValue: $0) } }
        request = try fields.optional("request") { $0.integer }
        count = try fields.optional("count") { $0.integer.flatMap { UInt64(exactly: $0) } } ?? 1
        latencyMicroseconds = try fields.optional("latencyMicroseconds") { $0.integer }
        grant = try fields.optional("grant") { $0.integer }
        actor = try fields.optional("actor") { $0.string }
        message = try fields.optional("message") { $0.string }
        if let value = fields.value("flight") { flight = try FlightRecord(value) }
        if let value = fields.value("approval") { approval = try ApprovalRecord(value) }
        if let value = fields.value("process") { process = try ProcessRecord(value) }
        if let value = fields.value("destination") { try readDestination(Fields(value, path: "destination")) }
    }

    private mutating func readDestination(_ fields: Fields) throws(EventError) {
        name = try fields.optional("name") { $0.string }
        application = try fields.optional("application") { $0.string }
        guard let address = try fields.optional("address", { $0.string.flatMap { IPAddress($0) } }) else { return }
        guard fields.value("transport") != nil || fields.value("port") != nil else { return answer = address }
        destination = Destination(
            address: address,
            port: try fields.optional("port") { $0.integer.flatMap { UInt16(exactly: $0) } } ?? 0,
            transport: try fields.required("transport") { $0.string.flatMap { Transport($0) } },
        )
    }
}

extension FlightRecord {
    /// What the first bytes said, as it stands in an event.
    package var json: JSON {
        JSON(present: [
            "serverName": JSON(serverName),
            "alpn": alpn.isEmpty ? nil : JSON(alpn),
            "ja4": JSON(ja4),
            "excerpt": JSON(excerpt),
        ])
    }

    fileprivate init(_ json: JSON) throws(EventError) {
        let fields = try Fields(json, path: "flight")
        self.init(
            serverName: try fields.optional("serverName") { $0.string },
            alpn: try fields.optional("alpn") { $0.texts } ?? [],
            ja4: try fields.optional("ja4") { $0.string },
            excerpt: try fields.optional("excerpt") { $0.string },
        )
    }
}

extension ApprovalRecord {
    /// What was approved, as it stands in an event.
    package var json: JSON {
        JSON(present: [
            "seconds": .integer(seconds),
            "expires": .string(expires.description),
            "ports": ports.isEmpty ? nil : JSON(ports),
            "protocol": JSON(application),
            "replacedBy": JSON(replacedBy),
        ])
    }

    fileprivate init(_ json: JSON) throws(EventError) {
        let fields = try Fields(json, path: "approval")
        self.init(
            seconds: try fields.required("seconds") { $0.integer },
            expires: try fields.required("expires") { $0.string.flatMap { WallTime($0) } },
            ports: try fields.optional("ports") { $0.texts } ?? [],
            application: try fields.optional("protocol") { $0.string },
            replacedBy: try fields.optional("replacedBy") { $0.integer },
        )
    }
}

extension ProcessRecord {
    /// The process as it stands in an event.
    package var json: JSON {
        JSON(present: [
            "pid": JSON(pid),
            "executable": JSON(executable),
            "command": command.isEmpty ? nil : JSON(command),
            "uid": JSON(uid),
            "cgroup": JSON(cgroup),
            "ancestors": ancestors.isEmpty ? nil : JSON(ancestors),
        ])
    }

    fileprivate init(_ json: JSON) throws(EventError) {
        let fields = try Fields(json, path: "process")
        self.init(
            pid: try fields.optional("pid") { $0.integer.flatMap { Int32(exactly: $0) } },
            executable: try fields.optional("executable") { $0.string },
            command: try fields.optional("command") { $0.texts } ?? [],
            uid: try fields.optional("uid") { $0.integer.flatMap { UInt32(exactly: $0) } },
            cgroup: try fields.optional("cgroup") { $0.string },
            ancestors: try fields.optional("ancestors") { $0.texts } ?? [],
        )
    }
}

extension JSON {
    /// The elements, when this is an array of strings only.
    package var texts: [String]? {
        guard let array else { return nil }
        let texts = array.compactMap(\.string)
        return texts.count == array.count ? texts : nil
    }

    /// The members, when this is an object of strings only.
    package var strings: [String: String]? {
        guard let object else { return nil }
        var strings: [String: String] = [:]
        for (key, value) in object {
            guard let text = value.string else { return nil }
            strings[key] = text
        }
        return strings
    }
}

/// The members of an object, read with the error that names the field.
///
/// `null` counts as absent.
private struct Fields {
    private let members: [String: JSON]
    private let path: String

    /// The members; an error with the object's own name when it is none.
    init(_ json: JSON, path: String) throws(EventError) {
        guard let object = json.object else { throw EventError(field: path.isEmpty ? "{}" : path) }
        self.members = Dictionary(object.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
        self.path = path.isEmpty ? "" : path + "."
    }

    func value(_ key: String) -> JSON? {
        guard let value = members[key], !value.isNull else { return nil }
        return value
    }

    func optional<Value>(_ key: String, _ read: (JSON) -> Value?) throws(EventError) -> Value? {
        guard let json = value(key) else { return nil }
        guard let value = read(json) else { throw EventError(field: path + key) }
        return value
    }

    func required<Value>(_ key: String, _ read: (JSON) -> Value?) throws(EventError) -> Value {
        guard let value = try optional(key, read) else { throw EventError(field: path + key) }
        return value
    }
}
