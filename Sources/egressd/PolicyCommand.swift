internal import Broker
internal import Crypto
internal import Daemon
internal import Model
internal import Policy
internal import PolicyFiles
internal import Ruleset
internal import System

/// `egressd policy`: what can be said of policies without a daemon.
enum PolicyCommand {
    static func run(_ arguments: inout Arguments) throws -> Int32 {
        if arguments.flag("--help") || arguments.flag("-h") {
            print(Help.policy)
            return Command.Status.done
        }
        let json = arguments.flag("--json")
        switch arguments.next() {
        case "check": return try check(&arguments, json: json, testing: false)
        case "test": return try check(&arguments, json: json, testing: true)
        case "compile":
            guard !json else { throw UsageError("'policy compile' prints nft text; it has no --json") }
            return try compile(&arguments)
        case "explain": return try explain(&arguments, json: json)
        case let word?: throw UsageError("unknown command 'policy \(word)'; 'egressd policy --help' lists them")
        case nil:
            Command.complain(Help.policy)
            return Command.Status.usage
        }
    }

    private static func load(_ folder: String) throws -> PolicySet {
        try PolicyLoader(resolveUser: Users.uid).loadPolicies(folder)
    }

    private static func check(_ arguments: inout Arguments, json: Bool, testing: Bool) throws -> Int32 {
        let folder = try arguments.next("the folder with the policies")
        try arguments.finish()
        var errors: [String] = []
        var warnings: [String] = []
        var failures: [String] = []
        var count = 0
        var expectations = 0
        do {
            let policies = try load(folder)
            count = policies.workloads.count
            warnings = policies.warnings.map(\.description)
            for workload in policies.workloads {
                let shares = Boxes.overBudget(of: workload)
                guard !shares.isEmpty else { continue }
                let names = shares.map { "'\($0.rule)'" }.joined(separator: ", ")
                errors.append(
                    "\(workload.file): more than \(Boxes.budget) boxes of addresses and ports; overlap less in \(names)",
                )
            }
            if testing {
                expectations = policies.workloads.reduce(0) { $0 + $1.expect.count }
                failures = policies.failures.map(\.description)
            }
        } catch let error as PolicyErrors {
            errors = error.errors.map(\.description)
        }
        let isGood = errors.isEmpty && failures.isEmpty
        if json {
            let answer: JSON = [
                "workloads": .integer(Int64(count)), "errors": JSON(errors), "warnings": JSON(warnings),
                "failures": JSON(failures),
            ]
            print(answer)
        } else {
            for line in errors + failures { Command.complain(line) }
            for line in warnings { Command.complain(line) }
            let tested = testing ? ", \(expectations - failures.count) of \(expectations) expectations met" : ""
            print(
                "\(count) workload\(count == 1 ? "" : "s"), \(errors.count) error\(errors.count == 1 ? "" : "s")\(tested)"
            )
        }
        return isGood ? Command.Status.done : Command.Status.no
    }

    private static func compile(_ arguments: inout Arguments) throws -> Int32 {
        let onlyElements = arguments.flag("--elements")
        let path = try arguments.option("--config")
        let folder = try arguments.next("the folder with the policies")
        try arguments.finish()
        let loader = PolicyLoader(resolveUser: Users.uid)
        let configuration = try path.map { try loader.loadConfiguration($0) } ?? HostConfiguration()
        let policies = try loader.loadPolicies(folder)
        let settings = Broker.Settings(
            observesOnly: configuration.mode == .observe,
            unidentified: Broker.Settings.Unidentified(rawValue: configuration.unidentified.rawValue) ?? .deny,
        )
        guard let cryptography = LibCrypto() else { throw StartError(LibCrypto.absence) }
        let broker = Broker(settings: settings, policies: policies, cryptography: cryptography)
        let layout = Layout(firstQueue: configuration.queue, observesOnly: settings.observesOnly)
        print(NftText().table(layout, elements: broker.elements(), compact: onlyElements), terminator: "")
        return Command.Status.done
    }

    private static func explain(_ arguments: inout Arguments, json: Bool) throws -> Int32 {
        if arguments.flag("--batch") {
            guard let folder = try arguments.option("--policies") else {
                throw UsageError("--batch needs --policies DIR")
            }
            try arguments.finish()
            return try explainBatch(load(folder))
        }
        let program = try arguments.option("--executable")
        if let program, !program.hasPrefix("/") {
            throw UsageError("--executable: '\(program)' is no absolute path; write one like /usr/bin/python3.11")
        }
        let folder = try arguments.next("the folder with the policies")
        let name = try arguments.next("the workload")
        let destination = try arguments.next("the destination")
        try arguments.finish()
        guard let workload = try load(folder)[name] else {
            throw UsageError("there is no workload '\(name)' in \(folder)")
        }
        let read: (subject: Expectation.Subject, port: UInt16, transport: Transport)
        do {
            read = try Expectation.Subject.read(destination)
        } catch {
            throw UsageError("\(error)")
        }
        let explanation = workload.explain(
            read.subject,
            port: read.port,
            transport: read.transport,
            executable: program,
        )
        show(explanation, json: json)
        return explanation.verdict == .allow ? Command.Status.done : Command.Status.no
    }

    private static func show(_ explanation: Explanation, json: Bool) {
        let decision = explanation.decision
        let executables = explanation.executables
        if json {
            print(
                JSON(present: [
                    "verdict": .string(explanation.verdict.rawValue), "reason": .string(decision.reason.rawValue),
                    "rule": JSON(decision.rule), "executables": executables.isEmpty ? nil : JSON(executables),
                    "rules": .array(
                        explanation.lines.map { line in
                            JSON(present: [
                                "rule": .string(line.rule.name), "deny": .bool(line.isDeny),
                                "outcome": .string(line.outcome.rawValue), "protocol": JSON(spoken(line)),
                                "executable": JSON(line.rule.executable),
                            ])
                        },
                    ),
                ]),
            )
        } else {
            print(
                "\(explanation.verdict.rawValue): \(decision.reason.rawValue)"
                    + (decision.rule.map { " (\($0))" } ?? "")
                    + (executables.isEmpty ? "" : ", for \(executables.joined(separator: " and ")) alone")
            )
            for line in explanation.lines {
                let rule = "\(line.isDeny ? "deny " : "allow") \(line.rule.name)"
                print("  \(rule): \(line.outcome.rawValue)\(wanted(line))")
            }
        }
    }

    /// What a rule wants besides the destination.
    private static func wanted(_ line: Explanation.Line) -> String {
        let protocolName = spoken(line).map { " \($0)" } ?? ""
        guard let program = line.rule.executable else { return protocolName }
        switch line.outcome {
        case .needsExecutable, .otherExecutable: return " \(program)"
        case .needsProtocol, .covers: return "\(protocolName), for \(program) alone"
        case .otherPort, .otherDestination: return ""
        }
    }

    /// What must be spoken where a rule covers the destination; nil where anything may be.
    private static func spoken(_ line: Explanation.Line) -> String? {
        line.outcome == .needsProtocol && !line.isDeny ? line.rule.application.rawValue : nil
    }

    /// Who would be asked for, and what the evaluator says, for each line of standard input.
    private static func explainBatch(_ policies: PolicySet) throws -> Int32 {
        var number = 0
        while let line = readLine() {
            number += 1
            guard !line.isEmpty else { continue }
            let question: JSON
            do {
                question = try JSON.parse(line)
            } catch {
                throw UsageError("line \(number): \(error)")
            }
            guard let cgroup = question["cgroup"]?.string, let text = question["to"]?.string,
                let destination = Self.destination(text)
            else {
                throw UsageError(
                    "line \(number): not a question: \(line); write {\"cgroup\": …, \"uid\": …, \"to\": \"ADDRESS:PORT/tcp\"}"
                )
            }
            let uid = question["uid"]?.integer.flatMap { UInt32(exactly: $0) }
            let program = question["executable"]?.string
            let identification = policies.identify(cgroup: cgroup, uid: uid)
            var decision = Decision(verdict: .deny, reason: .unidentified)
            var workloadName: String?
            if case .workload(let name) = identification, let workload = policies[name] {
                workloadName = name
                decision = workload.decide(
                    Question(destination: destination, executable: program, executableIsCertain: program != nil),
                )
            }
            print(
                JSON(present: [
                    "verdict": .string(decision.verdict.rawValue), "reason": .string(decision.reason.rawValue),
                    "rule": JSON(decision.rule), "workload": JSON(workloadName),
                    "protocols": decision.protocols.isEmpty ? nil : JSON(decision.protocols.map(\.rawValue).sorted()),
                ]),
            )
        }
        return Command.Status.done
    }

    /// `203.0.113.9:22/tcp`, `[2001:db8::9]:22/udp`; tcp when no transport is given.
    private static func destination(_ text: String) -> Destination? {
        let parts = text.split(separator: "/", maxSplits: 1)
        let transport = parts.count == 2 ? Transport(String(parts[1])) : .tcp
        guard let transport, let colon = parts[0].lastIndex(of: ":"),
            let port = UInt16(parts[0][parts[0].index(after: colon)...])
        else { return nil }
        let host = parts[0][..<colon].drop { $0 == "[" }
        let bare = host.hasSuffix("]") ? host.dropLast() : host
        return IPAddress(String(bare)).map { Destination(address: $0, port: port, transport: transport) }
    }
}
