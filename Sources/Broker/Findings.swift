internal import Model

/// What a request looks like, from what the process is and asks.
///
/// Never decides a verdict.
enum Findings {
    private static let sshPrograms: Set<String> = ["ssh", "autossh", "slogin", "dbclient"]
    /// The options of OpenSSH's client that take an argument (ssh(1), OpenSSH 9).
    private static let sshArguments = Set("BbcDEeFIiJLlmOoPpQRSWw")

    private static func baseName(_ path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? path
    }

    static func isSSH(_ process: ProcessRecord) -> Bool {
        [process.executable, process.command.first].contains { $0.map { sshPrograms.contains(baseName($0)) } ?? false }
    }

    /// Whether the command line asks for a remote forwarding: `-R`, or the option spelt out.
    static func isReverseTunnel(_ process: ProcessRecord) -> Bool {
        guard isSSH(process) else { return false }
        var arguments = process.command.dropFirst()[...]
        while let argument = arguments.popFirst() {
            guard argument.hasPrefix("-"), argument != "-", argument != "--" else { continue }
            var letters = argument.dropFirst()
            while let letter = letters.popFirst() {
                if letter == "R" { return true }
                guard sshArguments.contains(letter) else { continue }
                let value = letters.isEmpty ? arguments.popFirst() ?? "" : String(letters)
                if letter == "o", value.lowercased().hasPrefix("remoteforward") { return true }
                break
            }
        }
        return false
    }

    static func finding(_ process: ProcessRecord?) -> Finding? {
        guard let process, isReverseTunnel(process) else { return nil }
        return .reverseSSHTunnel
    }

    /// What the process claims to speak.
    static func application(_ process: ProcessRecord?) -> String? {
        guard let process, isSSH(process) else { return nil }
        return "ssh"
    }
}

/// What the programs of the last requests look like: reading a command line costs more than comparing it.
struct ProgramMemory {
    typealias Look = (finding: Finding?, application: String?)

    private static let limit = 256
    private var known: [Int32: (executable: String?, command: [String], look: Look)] = [:]

    mutating func look(at process: ProcessRecord) -> Look {
        let pid = process.pid ?? 0
        if let last = known[pid], last.executable == process.executable, last.command == process.command {
            return last.look
        }
        let look = (Findings.finding(process), Findings.application(process))
        if known.count >= Self.limit { known.removeAll(keepingCapacity: true) }
        known[pid] = (process.executable, process.command, look)
        return look
    }
}

/// Notices many different denied destinations in a short time.
typealias ScanDetector = BurstDetector<Destination>
/// Notices many different denied names in a short time.
typealias NameScanDetector = BurstDetector<DomainName>

/// Notices many different things in a short time.
struct BurstDetector<Thing: Hashable> {
    /// This many different destinations within `span` are a scan.
    static var threshold: Int { 24 }
    static var span: Instant.Span { .seconds(10) }

    private var seen: [Thing: Instant] = [:]
    private var reportedUntil: Instant?

    /// Whether this is a time of many.
    func isBurst(at now: Instant) -> Bool { reportedUntil.map { now < $0 } ?? false }

    /// Notes one; how many there were, when this one makes it a scan that was not reported yet.
    mutating func note(_ thing: Thing, at now: Instant) -> Int? {
        if seen.count >= 4 * Self.threshold { seen = seen.filter { now - $0.value < Self.span } }
        if seen.count < 4 * Self.threshold { seen[thing] = now }
        if let until = reportedUntil, now < until {
            reportedUntil = now + Self.span
            return nil
        }
        let recent = seen.values.count { now - $0 < Self.span }
        guard recent >= Self.threshold else { return nil }
        reportedUntil = now + Self.span
        return recent
    }
}
