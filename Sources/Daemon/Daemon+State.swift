internal import Broker
internal import Glibc
internal import Model
internal import Netfilter
internal import Policy
internal import Record
internal import Ruleset
internal import System

/// What is stored and taken up again: numbers, grants, requests.
extension Daemon {
    func save(_ assignments: [String: Assignment], removed: [String]) {
        do {
            try store.saveWorkloadNumbers(
                assignments.mapValues { (number: $0.identity.number, generation: $0.generation) },
                deleting: removed,
            )
            warnings["numbers"] = nil
        } catch {
            warnings["numbers"] = "workload numbers are not stored: \(error)"
            Log.error("storing workload numbers: \(error); after a restart every connection is judged anew")
        }
    }

    /// Forgets the numbers of workloads that went while no daemon ran, now that no connection bears them.
    func forgetGoneNumbers() {
        // What could not be looked at may bear them still.
        guard !troubles.isWaiting else { return }
        do throws(StoreError) {
            let gone = try store.workloadNumbers().keys.filter { broker.assignments[$0] == nil }
            if !gone.isEmpty { save([:], removed: gone) }
        } catch {
            Log.warning("\(error); the numbers of workloads that are gone stay taken")
        }
    }

    /// Stores how a grant has ended.
    func save(ended grant: Grant) {
        let state = GrantRow.State(rawValue: grant.state.rawValue) ?? .revoked
        do {
            try store.setGrants([grant.id], to: state)
            warnings["grants"] = nil
        } catch {
            warnings["grants"] = "grants are not stored: \(error)"
            Log.error("storing the end of grant \(grant.id): \(error)")
            // It must not come back with the next start: this is written as soon as anything can be.
            store.setGrantsLater([grant.id], to: state)
        }
    }

    func saveGrantTimes() {
        let now = Clock.now()
        let remaining = broker.grants.values.filter { $0.state == .active }.map { ($0.id, $0.expiry - now) }
        guard !remaining.isEmpty else { return }
        store.updateRemaining(Dictionary(uniqueKeysWithValues: remaining), at: Moment(wall: Clock.wall(), steady: now))
    }

    func markDirty(_ request: Int64) {
        dirtyRequests.insert(request)
        guard requestsTimer == nil else { return }
        requestsTimer = loop.schedule(after: .milliseconds(200)) { [unowned self] in
            requestsTimer = nil
            saveRequests()
        }
    }

    func saveRequests() {
        guard !dirtyRequests.isEmpty else { return }
        let (changed, forgotten) = broker.takeRequestChanges(of: dirtyRequests)
        store.upsertRequests(changed.map(Self.row), forgotten: forgotten)
        dirtyRequests.removeAll(keepingCapacity: true)
    }

    static func row(_ summary: RequestSummary) -> RequestRow {
        RequestRow(
            id: summary.id,
            workload: summary.workload,
            kind: summary.kind,
            subject: summary.subject,
            count: summary.count,
            first: summary.first,
            last: summary.last,
            verdict: summary.verdict,
            reason: summary.reason,
            executable: summary.process?.executable,
            command: summary.process?.command ?? [],
            finding: summary.finding,
        )
    }

    static func summary(_ row: RequestRow) -> RequestSummary {
        RequestSummary(
            id: row.id,
            workload: row.workload,
            kind: row.kind,
            subject: row.subject,
            count: row.count,
            first: row.first,
            last: row.last,
            verdict: row.verdict,
            reason: row.reason,
            process: row.executable.map { ProcessRecord(executable: $0, command: row.command) },
            finding: row.finding,
        )
    }

    static func row(_ grant: Grant) -> GrantRow {
        let target: GrantRow.Target =
            switch grant.subject {
            case .address(let destination):
                .address(AddressPrefix(destination.address), port: destination.port, destination.transport)
            case .name(let name):
                .name(
                    name,
                    ports: ports(grant.ports).joined(separator: ","),
                    protocol: grant.application?.rawValue,
                )
            case .others: preconditionFailure("an approval is of one destination")
            }
        return GrantRow(
            id: grant.id,
            workload: grant.workload,
            target: target,
            granted: grant.granted,
            duration: grant.duration,
            reason: grant.reason ?? "",
            actor: grant.actor,
            request: grant.request,
        )
    }

    /// The grant of a stored row, with what is left of it; nil when that is nothing.
    static func grant(_ row: GrantRow, at now: Instant, since last: Moment?) -> Grant? {
        let remaining = row.remaining(at: Moment(wall: Clock.wall(), steady: now), since: last)
        guard remaining > .seconds(0), let (subject, ports, application) = subject(row.target)
        else { return nil }
        return Grant(
            id: row.id,
            workload: row.workload,
            subject: subject,
            ports: ports,
            application: application,
            granted: row.granted,
            duration: row.duration,
            expiry: now + remaining,
            reason: row.reason.isEmpty ? nil : row.reason,
            actor: row.actor,
            request: row.request,
        )
    }

    private static func subject(_ target: GrantRow.Target) -> (Subject, Set<ServicePort>, ApplicationProtocol?)? {
        switch target {
        case .address(let prefix, let port?, let transport):
            return (.address(Destination(address: prefix.address, port: port, transport: transport)), [], nil)
        case .address:
            return nil
        case .name(let name, let ports, let spoken):
            // One that this egressd does not know must not become "anything".
            let application = spoken.flatMap(ApplicationProtocol.init(rawValue:))
            guard (spoken == nil) == (application == nil),
                let read = ServicePort.read(ports.split(separator: ",").map(String.init))
            else { return nil }
            return (.name(name), read, application)
        }
    }

    /// Ports as people write them: `443`, `8443/udp`.
    static func ports(_ ports: Set<ServicePort>) -> [String] { ServicePort.texts(ports) }
}

extension ServicePort {
    /// At most this many ports are approved for a name.
    static let limit = 16

    /// Reads `443` and `8443/udp`, without ranges; nil for anything else, and for none or too many.
    static func read(_ texts: [String]) -> Set<ServicePort>? {
        var ports: Set<ServicePort> = []
        for text in texts {
            guard let spec = try? PortSpec(text), let port = spec.single else { return nil }
            ports.insert(port)
        }
        return ports.isEmpty || ports.count > limit ? nil : ports
    }
}

extension PortSpec {
    /// The one port that it is; tcp where nothing is said.
    fileprivate var single: ServicePort? {
        guard range.lower == range.upper else { return nil }
        return ServicePort(transport: transport ?? .tcp, port: range.lower)
    }
}
