internal import Inspection
internal import Model
internal import Policy
internal import Ruleset

extension Event {
    /// Makes it tell of requests whose programs nobody looked at.
    mutating func forgetProgram() {
        process = nil
        context = [:]
        latencyMicroseconds = nil
        // That many destinations are tried is not told of a program.
        if finding != .internalScan || destination != nil { finding = nil }
    }

    /// Says something more to a person.
    mutating func add(_ text: String) { message = message.map { "\($0); \(text)" } ?? text }
}

extension Broker {
    func event(of question: PacketQuestion, identity: Identity, at now: Instant) -> Event {
        // Whose socket would receive it is asked of what comes in, too.
        let comesIn = question.kind == .inbound || question.kind == .receiver
        var event = Event(time: wall(now), kind: comesIn ? .inbound : .request)
        event.workload = workloadName(identity)
        event.destination = question.destination
        event.name = knownName(identity, question.destination.address)
        if let name = question.name {
            // What was asked for is what can be approved, not who was asked.
            event.name = name.text
            event.destination = nil
            event.application = "dns"
            event.message = "asked of \(question.destination)"
        }
        if identity.isWorkload { event.generation = UInt32(assignment(identity).generation) }
        event.latencyMicroseconds = max(0, (now - question.arrived).nanoseconds / 1000)
        if let uid = question.uid { event.process = ProcessRecord(uid: uid) }
        return event
    }

    /// The name that an address was last given out for to a workload.
    func knownName(_ identity: Identity, _ address: IPAddress) -> String? {
        names[identity.number].flatMap { pins[$0]?.namesEver(of: address).first?.text }
    }

    mutating func fill(_ event: inout Event, _ decision: Decision, _ local: Facts?) {
        event.verdict = decision.verdict
        event.reason = decision.reason
        event.rule = decision.rule
        event.name = decision.name?.text ?? event.name
        guard let local else { return }
        event.context = local.context
        var process = local.process ?? ProcessRecord(uid: local.uid)
        process.cgroup = process.cgroup ?? local.path
        event.process = process
        // A foreign user's request is told of under the workload whose cgroup it used.
        if event.workload == nil, case .wrongUser(let name) = policies.identify(cgroup: local.path, uid: local.uid) {
            event.workload = name
        }
        guard event.kind == .request else { return }
        let look = programs.look(at: process)
        event.finding = look.finding
        event.application = event.application ?? look.application
    }

    /// Adds what the first bytes of a connection said.
    func fill(_ event: inout Event, _ flight: Flight) {
        event.application = flight.application.rawValue
        event.flight = FlightRecord(flight, isAllowed: event.verdict == .allow)
        guard event.verdict != .allow else { return }
        switch flight.application {
        case .stratum: event.finding = .miningStratum
        case .ssh where event.destination?.port != 22: event.finding = event.finding ?? .sshOnWrongPort
        default: break
        }
    }
}
