internal import Control
internal import Glibc
internal import Model
internal import Policy

/// `egressd ctl`: one call on the control socket, printed.
enum ControlCommand {
    private static let defaultSocket = "/run/egressd/control.sock"

    static func run(_ arguments: inout Arguments) throws -> Int32 {
        if arguments.flag("--help") || arguments.flag("-h") {
            print(Help.control)
            return Command.Status.done
        }
        let json = arguments.flag("--json")
        let path = try socket(&arguments)
        guard let command = arguments.next() else {
            Command.complain(Help.control)
            return Command.Status.usage
        }
        do {
            return try run(command, &arguments, path: path, json: json)
        } catch let error as ControlError {
            Command.complain("egressd: \(error)")
            switch error {
            case .unreachable: return Command.Status.unreachable
            case .notPermitted: return Command.Status.notPermitted
            default: return Command.Status.no
            }
        }
    }

    private static func socket(_ arguments: inout Arguments) throws -> String {
        if let path = try arguments.option("--socket") {
            guard !path.isEmpty else { throw UsageError("--socket needs a path") }
            return path
        }
        // As most programs take it, an empty variable is none.
        let environment = unsafe getenv("EGRESSD_SOCKET").map { unsafe String(cString: $0) } ?? ""
        return environment.isEmpty ? defaultSocket : environment
    }

    private static func run(_ command: String, _ arguments: inout Arguments, path: String, json: Bool) throws -> Int32 {
        switch command {
        case "status":
            try call("Status", [:], &arguments, path, json, Tables.status)
        case "workloads":
            try call("Workloads", [:], &arguments, path, json, Tables.workloads)
        case "requests":
            try call("Requests", [:], &arguments, path, json, Tables.requests)
        case "grants":
            try call("Grants", [:], &arguments, path, json, Tables.grants)
        case "reload":
            try call("Reload", [:], &arguments, path, json, Tables.reloaded)
        case "names":
            try names(&arguments, path: path, json: json)
        case "approve":
            let parameters = try approval(&arguments)
            try call("Approve", parameters, &arguments, path, json) { Tables.approved($0) }
        case "revoke":
            let reason = try arguments.option("--reason")
            let id = try number(&arguments, "the grant's number")
            try call("Revoke", JSON(present: ["grant": .integer(id), "reason": JSON(reason)]), &arguments, path, json) {
                _ in print("grant \(id) revoked")
            }
        case "log":
            return try log(&arguments, path: path, json: json)
        default:
            throw UsageError("unknown command 'ctl \(command)'; 'egressd ctl --help' lists them")
        }
        return Command.Status.done
    }

    private static func approval(_ arguments: inout Arguments) throws -> JSON {
        guard let time = try arguments.option("--for") else {
            throw UsageError("approve needs --for TIME: an approval ends, for instance --for 2h")
        }
        let seconds = try Arguments.seconds(time, "--for")
        let ports = try arguments.option("--ports").map { try Arguments.ports($0, "--ports") }
        let spoken = try arguments.option("--protocol")
        if let spoken, ApplicationProtocol(rawValue: spoken) == nil {
            let known = ApplicationProtocol.allCases.map(\.rawValue).joined(separator: ", ")
            throw UsageError("--protocol: '\(spoken)' is none of \(known)")
        }
        let reason = try arguments.option("--reason")
        return JSON(present: [
            "request": .integer(try number(&arguments, "the request's number")), "seconds": .integer(seconds),
            "reason": JSON(reason), "ports": ports.map { JSON($0) },
            "protocol": JSON(spoken),
        ])
    }

    /// All names that workloads were given; the daemon sends them in parts.
    private static func names(_ arguments: inout Arguments, path: String, json: Bool) throws {
        let workload = try arguments.option("--workload")
        try arguments.finish()
        var names: [JSON] = []
        try ControlClient(path: path).callMore("Names", JSON(present: ["workload": JSON(workload)])) { answer in
            warn(of: answer)
            names += answer["names"]?.array ?? []
            return true
        }
        let answer: JSON = ["names": .array(names)]
        if json { print(answer) } else { Tables.names(answer) }
    }

    private static func number(_ arguments: inout Arguments, _ what: String) throws -> Int64 {
        let word = try arguments.next(what)
        guard let number = Int64(word) else { throw UsageError("'\(word)' is no number; expected \(what)") }
        return number
    }

    private static func call(
        _ method: String,
        _ parameters: JSON,
        _ arguments: inout Arguments,
        _ path: String,
        _ json: Bool,
        _ show: (JSON) -> Void,
    ) throws {
        try arguments.finish()
        let answer = try ControlClient(path: path).call(method, parameters)
        // Those of the daemon itself are a part of its status.
        if method != "Status" { warn(of: answer) }
        if json { print(answer) } else { show(answer) }
    }

    /// Says what the daemon says besides its answer.
    private static func warn(of answer: JSON) {
        let texts = (answer["warnings"]?.array ?? []) + [answer["warning"]].compactMap(\.self)
        for text in texts.compactMap(\.string) { Command.complain("egressd: \(text)") }
    }

    private static func log(_ arguments: inout Arguments, path: String, json: Bool) throws -> Int32 {
        let follow = arguments.flag("--follow") || arguments.flag("-f")
        let since = try arguments.option("--since").map { try Arguments.seconds($0, "--since") }
        let workload = try arguments.option("--workload")
        let name = try arguments.option("--name").map { try Arguments.name($0, "--name") }
        let verdict = try arguments.option("--verdict")
        if let verdict, Verdict(rawValue: verdict) == nil {
            let known = Verdict.allCases.map(\.rawValue).joined(separator: ", ")
            throw UsageError("--verdict: '\(verdict)' is none of \(known)")
        }
        let limit: Int64? = try arguments.option("--limit").map {
            guard let limit = Int64($0), limit > 0 else { throw UsageError("--limit: '\($0)' is no positive number") }
            return limit
        }
        try arguments.finish()
        let parameters = JSON(present: [
            "follow": follow ? true : nil, "since": JSON(since), "workload": JSON(workload), "verdict": JSON(verdict),
            "limit": JSON(limit), "name": JSON(name),
        ])
        var output = Command.Output.written
        // Who follows waits for events, for as long as there is somebody to read them.
        try ControlClient(path: path).callMore(
            "Log",
            parameters,
            timeout: follow ? 0 : 30_000,
            whileRead: follow ? STDOUT_FILENO : nil,
        ) { answer in
            warn(of: answer)
            for event in answer["events"]?.array ?? [] { print(json ? event.description : Tables.line(event)) }
            output = Command.flush()
            return output == .written
        }
        return output == .failed ? Command.Status.no : Command.Status.done
    }
}
