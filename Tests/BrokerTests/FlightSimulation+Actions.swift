import Model
import Policy
import Ruleset
import TestSupport
import Testing
import Wire

@testable import Broker

/// What the broker wants done, what must hold of it, and what happens besides packets.
extension FlightSimulation {
    /// As the daemon does: changes at once, answers last, and after them what is taken back.
    mutating func perform(_ actions: [BrokerAction]) {
        var answers: [(PacketReference, BrokerAction.Answer)] = []
        for action in actions {
            switch action {
            case .change(let changes): kernel.apply(changes, at: now)
            case .clear(let sets): kernel.clear(sets)
            case .stamp(let key, let stamp, _): self.stamp(Int(key.localPort), stamp)
            case .destroy(let key, _): connections[Int(key.localPort)]?.isAlive = false
            case .expire(let key, _):
                let wasOpen = connections[Int(key.localPort)]?.isAlive == true
                connections[Int(key.localPort)]?.isAlive = false
                perform(broker.expired(key, wasOpen: wasOpen, at: now))
            case .answer(let reference, let answer): answers.append((reference, answer))
            case .record(let event): record(event)
            case .settle(let key):
                let packets = key.isInKernel ? kernel.take(key.element, from: key.set) ?? 0 : 0
                perform(broker.settled(key, packets: packets, at: now))
            case .cut(let identity, let generation, let destination):
                let mark = Stamp(identity, generation: generation, .new).mark
                for (number, connection) in connections
                where connection.flow.mark & Stamp.generationMask == mark
                    && connection.flow.destination == destination
                {
                    connections[number]?.isAlive = false
                }
            case .unstamp(let cgroups):
                for (number, connection) in connections where cgroups.contains(connection.client.sender.cgroup) {
                    connections[number]?.flow.mark = 0
                }
            case .endGrant(let grant): grants[grant.id] = nil
            case .changeAfter, .recheck, .saveAssignments, .savePins, .refresh: break
            }
        }
        for (reference, answer) in answers { finish(reference, answer) }
        kernel.apply(Array(Set(actions.changesAfter)), at: now)
    }

    private mutating func finish(_ reference: PacketReference, _ answer: BrokerAction.Answer) {
        guard let item = waiting.removeValue(forKey: reference.packet), item.isDelivered else {
            return fail("packet \(reference.packet) was answered, and did not wait")
        }
        guard reference.queue == 8100 + item.kind.rawValue else { return fail("answered in another queue") }
        switch answer {
        case .again: meet(item.connection, item.packet, mark: item.mark, rounds: item.rounds)
        case .pass:
            let isHarmless = item.packet.payload.isEmpty || item.kind == .greeting
            if !isHarmless { fail("data passed by itself") }
        case .drop: break
        }
    }

    private mutating func stamp(_ number: Int, _ stamp: Stamp) {
        guard let connection = connections[number] else { return fail("a stamp for nobody") }
        connections[number]?.flow.mark = stamp.mark
        note("\(number) \(stamp.state)")
        guard stamp.state != .denied else { return denied += 1 }
        cleared += 1
        connections[number]?.isCleared = true
        if !rights(of: connection).isProved, !isGone(connection) {
            fail("\(connection.client.key) gets \(stamp): \(describe(connection))")
        }
    }

    private func describe(_ connection: Connection) -> String {
        let rules = policies.workloads.map { "\($0.name) \($0.unknown) \($0.allow.map(\.name))" }
        let (client, said) = (connection.client, connection.said)
        return "\(client.sender.path), saying \(said.spoken as Any) \(said.serverName as Any), \(rules), \(settings)"
    }

    /// Its workload is another one: what was observed goes on until it is judged anew.
    private func isGone(_ connection: Connection) -> Bool {
        let sender = connection.client.sender
        guard case .workload(let name) = policies.identify(cgroup: sender.path, uid: sender.uid) else { return true }
        return broker.assignments[name].map { connection.flow.identity != $0.identity.mark } ?? true
    }

    private mutating func record(_ event: Event) {
        guard event.kind == .request, event.destination?.transport == .tcp else { return }
        let hasEnded = event.message?.hasPrefix("it ended before its first flight") ?? false
        let isOfAFlight = event.flight != nil || hasEnded
        if isOfAFlight { told += event.count }
        if event.verdict == .hold, isOfAFlight { fail("a first flight waits for an operator") }
    }

    // MARK: What may be

    struct Rights {
        var mayBegin = false
        /// Whatever it says.
        var isPlain = false
        /// By what it says.
        var isProved = false
    }

    /// What the policies and approvals let a connection do.
    func rights(of connection: Connection) -> Rights {
        let all = Rights(mayBegin: true, isPlain: true, isProved: true)
        if settings.observesOnly { return all }
        let client = connection.client
        guard case .workload(let name) = policies.identify(cgroup: client.sender.path, uid: client.sender.uid),
            let workload = policies[name]
        else { return settings.unidentified == .deny ? Rights() : all }
        let names = broker.pins[name]?.names(of: client.destination.address) ?? []
        let question = Question(destination: client.destination, names: names)
        let (begun, said) = (workload.decide(question), connection.said)
        if begun.isPlain || begun.reason == .unknownDestination && workload.unknown == .observe { return all }
        let flight = workload.decide(question, spoken: said.spoken, serverName: said.serverName)
        var rights = Rights(mayBegin: begun.verdict == .allow, isProved: flight.verdict == .allow)
        guard begun.verdict == .allow || begun.reason == .unknownDestination else { return rights }
        for grant in grants.values where grant.workload == name {
            let port = ServicePort(transport: client.destination.transport, port: client.destination.port)
            if grant.subject == .address(client.destination) { return all }
            guard let granted = grant.subject.name, names.contains(granted), grant.ports.contains(port) else {
                continue
            }
            let application = grant.application(over: client.destination.transport)
            if application == .any { return all }
            rights.mayBegin = true
            if application == said.spoken, application == .ssh || granted == said.serverName { rights.isProved = true }
        }
        return rights
    }

    /// Called for every packet of a client that goes on.
    mutating func judge(_ number: Int, _ packet: WirePacket, _ how: String) {
        guard let connection = connections[number], how != "handshake" else { return }
        let isUDP = connection.client.destination.transport == .udp
        // The end of a connection tells its peer nothing else.
        guard isUDP || !packet.payload.isEmpty || packet.flags.contains(.syn) else { return }
        if how == "current" {
            if !connection.isCleared { fail("\(connection.client.key) goes on, and was never let through") }
            return
        }
        let rights = rights(of: connection)
        let isInspecting = connection.flow.mark & 0xff == UInt32(Stamp.State.inspecting.rawValue)
        guard !isInspecting else {
            if !rights.mayBegin || !packet.payload.isEmpty { fail("\(connection.client.key) begins by \(how)") }
            return
        }
        connections[number]?.isCleared = true
        // What was proved is judged by where it goes when its stamp counts no more.
        let isOpen = !isUDP && !packet.flags.contains(.syn) && connection.isCleared
        let may = rights.isPlain || isUDP && rights.isProved || isOpen
        if !may { fail("\(connection.client.key) passes by \(how): \(describe(connection))") }
    }

    // MARK: What happens besides

    mutating func passTime() throws {
        let steps: [Instant.Span] = [
            Instant.Span(nanoseconds: 1), .milliseconds(5), .milliseconds(700), .seconds(3), .seconds(11),
        ]
        let step = random.pick(steps)
        // No packet waits unread for long.
        if step >= .seconds(1) {
            while waiting.values.contains(where: { !$0.isDelivered }), failures.isEmpty { try deliver() }
        }
        now = now + step
        note("tick")
        if !random.chance(15) { perform(broker.tick(at: now)) }
    }

    mutating func reload() throws {
        policies = try Self.policies(&random)
        if random.chance(20) { settings = Self.settings(&random) }
        note("reload")
        perform(broker.load(policies, settings, at: now))
    }

    /// A workload asks for a name, and gets an address.
    mutating func learnName() throws {
        guard let workload = policies.workloads.randomElement(using: &random),
            let identity = broker.assignments[workload.name]?.identity
        else { return }
        let name = try DomainName(random.pick(["packages.example.org", "files.example.org", "other.test"]))
        let address = try #require(IPAddress(random.pick(["93.184.216.34", "93.184.216.35", "2606:2800::1"])))
        let question = DNSQuestion(name: DNSName(name), type: address.isV4 ? .a : .aaaa)
        let decision = broker.mayAsk(identity, question, at: now)
        if decision.verdict == .deny {
            let sender = Scenario.facts("/\(workload.name)")
            perform(broker.note(identity, question, decision, local: sender, at: now))
        } else {
            perform(broker.release(identity, question, [address], timeToLive: 60, at: now).actions)
        }
    }

    mutating func approve() {
        guard let request = broker.requestSummaries.randomElement(using: &random) else { return }
        let application = random.pick([nil, .any, .tls, .ssh] as [ApplicationProtocol?])
        let result = broker.approve(
            request: request.id,
            for: .seconds(random.pick([1, 30])),
            application: request.subject.name == nil ? nil : application,
            reason: nil,
            actor: "root",
            at: now,
        )
        guard case .success(let (grant, actions)) = result else { return }
        grants[grant.id] = grant
        perform(actions)
    }

    mutating func revoke() {
        guard let grant = grants.keys.sorted().randomElement(using: &random) else { return }
        guard case .success(let actions) = broker.revoke(grant: grant, reason: nil, actor: "root", at: now) else {
            return fail("grant \(grant) cannot be revoked")
        }
        perform(actions)
    }
}
