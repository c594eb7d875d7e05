internal import Broker
internal import Control
internal import Model
internal import Policy
internal import PolicyFiles
internal import Record
internal import Ruleset
internal import System

extension Daemon {
    private enum Role { case viewer, approver }

    private static let viewing: Set<String> = ["Status", "Workloads", "Requests", "Grants", "Names", "Log"]

    /// Answers a call on the control socket.
    func handle(_ call: ControlCall) {
        if let refusal = refusal(of: call) {
            var event = Event(time: Clock.wall(), kind: .control)
            event.verdict = .deny
            event.actor = actor(call.peer)
            event.process = inspector.process(pid: call.peer.pid)
            event.message = "\(call.method): \(refusal)"
            append(event)
            call.fail(.permissionDenied(reason: refusal))
            return
        }
        broker.setClock(wall: Clock.wall(), at: Clock.now())
        switch call.method {
        case "Status": call.reply(status())
        case "Workloads": call.reply(["workloads": .array(broker.policies.workloads.map(describe))])
        case "Requests": call.reply(["requests": .array(broker.requestSummaries.reversed().map(describe))])
        case "Grants":
            let grants = broker.grants.values.filter { $0.state == .active }.sorted { $0.expiry < $1.expiry }
            call.reply(["grants": .array(grants.map(describe))])
        case "Names": names(call)
        case "Approve": approve(call)
        case "Revoke": revoke(call)
        case "Reload":
            switch reload(actor: actor(call.peer)) {
            case .loaded(let count):
                let warnings = configurationWarnings
                call.reply(
                    JSON(present: [
                        "workloads": .integer(Int64(count)), "warnings": warnings.isEmpty ? nil : JSON(warnings),
                    ]),
                )
            case .refused(let errors): call.fail(.reloadFailed(errors: errors))
            }
        case "Log": log(call)
        default: call.fail(.methodNotFound(call.method))
        }
    }

    /// Why the caller may not make the call; nil when it may.
    ///
    /// A caller whose cgroup belongs to a workload is refused whatever its uid: an agent never approves itself.
    private func refusal(of call: ControlCall) -> String? {
        guard let now = call.cgroup, let before = call.peer.cgroupAtConnect else {
            return "the caller's cgroup cannot be told"
        }
        for path in [now, before] {
            let identity = broker.identity(path: path, uid: nil).identity
            if identity.isWorkload || identity == .foreignUser {
                return "the caller's cgroup \(path) belongs to a workload"
            }
        }
        guard call.peer.uid != 0 else { return nil }
        let needed: Role = Self.viewing.contains(call.method) ? .viewer : .approver
        let groups =
            needed == .viewer
            ? [configuration.approverGroup, configuration.viewerGroup] : [configuration.approverGroup]
        for group in groups.compactMap({ $0 }) {
            if let gid = Users.gid(ofGroup: group), call.peer.isMember(of: gid) { return nil }
        }
        let names = groups.compactMap { $0 }.map { "'\($0)'" }.joined(separator: " or ")
        return "\(call.method) is for root" + (names.isEmpty ? "" : " and members of \(names)")
    }

    func actor(_ peer: Peer) -> String { Users.name(peer.uid) ?? "uid \(peer.uid)" }

    private func status() -> JSON {
        lookForMissingRoles()
        let health = store.health
        var warnings = self.warnings.values.sorted() + broker.policies.warnings.map(\.description)
        if let error = health.lastError { warnings.append("the record cannot be written: \(error)") }
        if let replacement = health.lastReplacement { warnings.append(replacement) }
        if health.lost > 0 { warnings.append("\(health.lost) events were lost") }
        return [
            "version": .string(Self.version),
            "mode": .string(configuration.mode.rawValue),
            "unidentified": .string(configuration.unidentified.rawValue),
            "started": .string(started.description),
            "loaded": .string(loaded.description),
            "ruleset": .string(ruleset?.status ?? ""),
            "workloads": .integer(Int64(broker.policies.workloads.count)),
            "grants": .integer(Int64(broker.grants.values.count { $0.state == .active })),
            "requests": .integer(Int64(broker.requestCount)),
            "counters": .object([
                ("eventsPending", .integer(Int64(health.pending))),
                ("eventsWritten", .integer(Int64(health.written))),
                ("eventsLost", .integer(Int64(health.lost))),
                ("overloads", .integer(Int64(overloads))),
                ("restorations", .integer(Int64(ruleset?.restorations ?? 0))),
                ("orphanedPackets", .integer(Int64(broker.orphans))),
                ("cgroups", .integer(Int64(broker.cgroupCount))),
            ]),
            "warnings": JSON(warnings),
        ]
    }

    private func describe(_ workload: Workload) -> JSON {
        let members: KeyValuePairs<String, JSON?> = [
            "name": .string(workload.name),
            "owner": JSON(workload.owner),
            "description": JSON(workload.description),
            "file": .string(workload.file),
            "generation": .integer(Int64(broker.assignments[workload.name]?.generation ?? 0)),
            "unknown": .string(workload.unknown.description),
            "cgroups": JSON((broker.cgroupsByWorkload[workload.name] ?? []).sorted()),
        ]
        return JSON(present: members)
    }

    private func describe(
        _ subject: Subject,
        ports: Set<ServicePort> = [],
        application: ApplicationProtocol? = nil,
    ) -> JSON {
        switch subject {
        case .address(let destination):
            return [
                "address": .string(destination.address.description),
                "port": .integer(Int64(destination.port)),
                "transport": .string(destination.transport.description),
            ]
        case .name(let name):
            return JSON(present: [
                "name": .string(name.text),
                "ports": ports.isEmpty ? nil : JSON(Self.ports(ports)),
                "protocol": JSON(application?.rawValue),
            ])
        case .others: return ["others": .bool(true)]
        }
    }

    /// What else an address is known as.
    private func knownAs(_ subject: Subject) -> JSON? {
        let names = subject.destination.map { broker.names(of: $0.address) } ?? []
        return names.isEmpty ? nil : JSON(names.map(\.text))
    }

    private func names(_ call: ControlCall) {
        let (now, wall) = (Clock.now(), Clock.wall())
        let workload = call.parameters["workload"]?.string
        let warning = missing(workload)
        var left = broker.pinSummaries(of: workload)[...]
        let size = call.wantsMore ? 500 : 10_000
        var isFirst = true
        call.reply(inParts: {
            guard isFirst || !left.isEmpty else { return nil }
            defer { isFirst = false }
            let part = left.prefix(size)
            left = left.dropFirst(size)
            return JSON(present: [
                "names": .array(part.map { Self.describe($0, now, wall) }), "warning": isFirst ? JSON(warning) : nil,
            ])
        })
    }

    /// What to say of a workload that is asked for and not in force: its name may be misspelt.
    ///
    /// The record may have it all the same.
    private func missing(_ workload: String?) -> String? {
        guard let workload, broker.policies[workload] == nil else { return nil }
        return "no workload \(TextError.quote(workload)) in force"
    }

    private static func describe(_ pin: PinSummary, _ now: Instant, _ wall: WallTime) -> JSON {
        [
            "workload": .string(pin.workload),
            "name": .string(pin.name.text),
            "address": .string(pin.address.description),
            "age": .integer(max(0, (wall.microseconds - pin.learned.microseconds) / 1_000_000)),
            "learned": .string(pin.learned.description),
            "expires": .string((wall + (pin.expiry - now)).description),
            "remainingSeconds": .integer(max(0, (pin.expiry - now).nanoseconds / 1_000_000_000)),
        ]
    }

    private func describe(_ request: RequestSummary) -> JSON {
        let members: KeyValuePairs<String, JSON?> = [
            "request": .integer(request.id),
            "workload": request.workload.isEmpty ? nil : .string(request.workload),
            "kind": .string(request.kind.rawValue),
            "destination": describe(request.subject),
            "knownAs": knownAs(request.subject),
            "verdict": .string(request.verdict.rawValue),
            "reason": .string(request.reason.rawValue),
            "finding": JSON(request.finding?.rawValue),
            "count": .integer(Int64(clamping: request.count)),
            "first": .string(request.first.description),
            "last": .string(request.last.description),
            "held": .bool(broker.isHeld(request)),
            "executable": JSON(request.process?.executable),
            "command": request.process.map { JSON($0.command) },
        ]
        return JSON(present: members)
    }

    func describe(_ grant: Grant) -> JSON {
        let now = Clock.now()
        let members: KeyValuePairs<String, JSON?> = [
            "grant": .integer(grant.id),
            "workload": .string(grant.workload),
            "destination": describe(grant.subject, ports: grant.ports, application: grant.application),
            "created": .string(grant.granted.description),
            "expires": .string((Clock.wall() + (grant.expiry - now)).description),
            "remainingSeconds": .integer(max(0, (grant.expiry - now).nanoseconds / 1_000_000_000)),
            "actor": .string(grant.actor),
            "reason": JSON(grant.reason),
            "request": JSON(grant.request),
        ]
        return JSON(present: members)
    }

    // MARK: The record

    /// Somebody who reads the record as it grows.
    struct Follower {
        let call: ControlCall
        var filter: EventFilter
        /// Whether it is served again when it has read more.
        var isSlow = false
    }

    private static let defaultLines: Int64 = 100
    private static let mostLines: Int64 = 100_000
    /// What goes into one reply, so that none is larger than the protocol takes.
    private static let linesPerReply = 200
    /// So much may wait for a follower to read it before it gets more.
    private static let unreadLimit = 1 << 20

    private func log(_ call: ControlCall) {
        let parameters = call.parameters
        var filter = EventFilter()
        if let seconds = parameters["since"]?.integer {
            filter.since = Clock.wall() + .seconds(-min(max(0, seconds), 1 << 31))
        }
        filter.workload = parameters["workload"]?.string
        if let text = parameters["name"]?.string {
            // The record has the canonical text.
            guard let name = try? DomainName(text) else { return call.fail(.invalidParameter("name")) }
            filter.name = name.text
        }
        if let text = parameters["verdict"]?.string {
            guard let verdict = Verdict(rawValue: text) else { return call.fail(.invalidParameter("verdict")) }
            filter.verdicts = [verdict]
        }
        let asked = parameters["limit"]?.integer
        filter.limit = Int(
            min(max(asked ?? (filter.since == nil ? Self.defaultLines : Self.mostLines), 0), Self.mostLines)
        )
        let follows = parameters["follow"]?.bool ?? false
        do {
            let warnings = [missing(filter.workload), flushForReader()].compactMap(\.self)
            let warning = warnings.isEmpty ? nil : warnings.joined(separator: "; ")
            let events = try store.events(matching: filter)
            guard call.wantsMore else {
                return call.reply(Self.reply(events.suffix(Self.linesPerReply), warning))
            }
            guard follows else { return reply(call, filter, events, warning) }
            if warning != nil, !call.replyContinues(Self.reply([], warning)) { return }
            filter.afterSequence = events.first.map { $0.sequence - 1 } ?? store.lastSequence
            filter.since = nil
            filter.limit = Self.linesPerReply
            filter.newestLast = true
            followerCount += 1
            let id = followerCount
            followers[id] = Follower(call: call, filter: filter)
            call.onClose = { [unowned self] in followers[id] = nil }
            serve(id)
        } catch {
            call.fail(.invalidRequest(reason: "the record cannot be read: \(error)"))
        }
    }

    /// Answers with all of these events, as fast as the client reads them; only the first are kept until then.
    private func reply(_ call: ControlCall, _ filter: EventFilter, _ events: [Event], _ warning: String?) {
        let last = events.last?.sequence ?? 0
        var page: [Event]? = Array(events.prefix(Self.linesPerReply))
        var filter = filter
        (filter.since, filter.limit, filter.newestLast) = (nil, Self.linesPerReply, true)
        call.reply(inParts: { [unowned self] in
            guard let lines = page else { return nil }
            guard let end = lines.last?.sequence, end < last else {
                page = nil
                return Self.reply(lines[...], warning)
            }
            filter.afterSequence = end
            do {
                page = try store.events(matching: filter).filter { $0.sequence <= last }
                return Self.reply(lines[...], nil)
            } catch {
                page = nil
                return Self.reply(lines[...], "the rest cannot be read: \(error)")
            }
        })
    }

    private static func reply(_ events: ArraySlice<Event>, _ warning: String?) -> JSON {
        JSON(present: ["events": .array(events.map(\.json)), "warning": JSON(warning)])
    }

    /// Brings what was judged so far to the record; a warning when that cannot be had now.
    private func flushForReader() -> String? {
        do {
            try store.flush()
            return nil
        } catch {
            return "the newest events wait in memory: \(error)"
        }
    }

    /// Sends what was written since to everybody who follows.
    func serveFollowers() {
        store.acknowledge()
        for id in Array(followers.keys) { serve(id) }
    }

    /// Sends one reply's worth of what a follower has not got yet, and the rest after it.
    private func serve(_ id: UInt64) {
        guard let follower = followers[id], !follower.isSlow else { return }
        guard follower.call.pendingBytes < Self.unreadLimit else {
            followers[id]?.isSlow = true
            _ = loop.schedule(after: .milliseconds(50)) { [unowned self] in
                followers[id]?.isSlow = false
                serve(id)
            }
            return
        }
        guard let events = try? store.events(matching: follower.filter), let last = events.last else { return }
        followers[id]?.filter.afterSequence = last.sequence
        guard follower.call.replyContinues(Self.reply(events[...], nil)) else {
            followers[id] = nil
            return
        }
        if events.count == Self.linesPerReply { loop.defer { [unowned self] in serve(id) } }
    }
}
