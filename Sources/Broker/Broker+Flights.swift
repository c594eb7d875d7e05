internal import Inspection
package import Model
internal import Policy
internal import Ruleset
internal import Wire

/// The first flight: what a connection says first is held until it has proved what it is.
extension Broker {
    /// Whether the connection that a packet opens is to prove what it is, or to be looked at.
    func isToBeProved(_ question: PacketQuestion, _ decision: Decision) -> Bool {
        switch decision.verdict {
        case .allow: return !decision.protocols.isEmpty
        // A datagram is its own first flight.
        case .observe: return question.opensFlow && question.packet != nil && question.destination.transport == .tcp
        case .deny, .hold: return false
        }
    }

    /// What the first datagram of a flow says, that no other is waited for.
    func look(_ question: PacketQuestion, _ bytes: RawSpan) -> Flight? {
        guard let packet = question.packet, !packet.payload.isEmpty else { return nil }
        var reader = FlightReader(cryptography: cryptography)
        if case .done(let flight) = reader.read(datagram: bytes.extracting(packet.payload)) { return flight }
        return reader.giveUpOnDatagrams()
    }

    /// Lets a connection begin.
    mutating func begin(
        _ question: PacketQuestion,
        _ identity: Identity,
        _ decision: Decision,
        _ sender: Facts,
        in bytes: RawSpan,
        at now: Instant,
    ) -> [BrokerAction] {
        guard let packet = question.packet else {
            return settle(question, identity, unproved(decision), local: sender, at: now)
        }
        let key = FlowKey(question)
        let isDatagram = question.destination.transport == .udp
        if isDatagram, let flow = flows[key], flow.identity == identity,
            flow.sender.process?.pid == sender.process?.pid,
            let taken = flows.take(key)
        {
            return read(taken, key, question, in: bytes, at: now)
        }
        if isDatagram, let actions = answeredBefore(question, key, identity, at: now) { return actions }
        if isDatagram, decision.verdict == .allow, let actions = goOn(question, key, identity, in: bytes, at: now) {
            return actions
        }
        if !isDatagram, packet.payload.isEmpty, flows[key]?.stream?.initial == packet.tcpSequence {
            return answerOnce(question, identity, .inspecting, at: now)
        }
        let actions = abandon(key, at: now)
        guard flows.hasRoom(identity) else {
            return actions + settle(question, identity, refusal(.limit, of: decision), local: sender, at: now)
        }
        var flow = flow(identity, sender, decision, at: now)
        if isDatagram { return actions + read(flow, key, question, in: bytes, at: now) }
        guard packet.payload.isEmpty else {
            return actions + readSYN(flow, key, question, in: bytes, at: now)
        }
        flow.stream = StreamReassembler(initial: packet.tcpSequence)
        flows.put(flow, key)
        return actions + answerOnce(question, identity, .inspecting, at: now)
    }

    /// Data in a SYN (TCP Fast Open, RFC 7413): when it is a whole first flight it is judged; else it is dropped, and TCP sends
    /// the SYN again without.
    private mutating func readSYN(
        _ flow: Flow,
        _ key: FlowKey,
        _ question: PacketQuestion,
        in bytes: RawSpan,
        at now: Instant,
    ) -> [BrokerAction] {
        guard let packet = question.packet else { return [.answer(question.reference, .drop)] }
        var flow = flow
        flow.arrived = question.arrived
        var stream = StreamReassembler(initial: packet.tcpSequence)
        guard case .new = stream.take(packet, in: bytes),
            case .done(let flight) = flow.reader.read(stream.contiguous)
        else { return [.answer(question.reference, .drop)] }
        let decision = decide(flow, key, flight)
        var event = event(of: flow, key, decision, at: now)
        fill(&event, flight)
        let state: Stamp.State =
            switch decision.verdict {
            case .allow: .allowed
            case .observe: .observed
            case .deny, .hold: .denied
            }
        return answerOnce(question, flow.identity, state, at: now) + tell(event, of: flow, key, at: now)
    }

    /// Lets one attempt find its answer, which is taken back once the packet has met it: the next connection from the same
    /// port is another.
    private mutating func answerOnce(
        _ question: PacketQuestion,
        _ identity: Identity,
        _ state: Stamp.State,
        at now: Instant,
    ) -> [BrokerAction] {
        let actions = answer(question, identity, state, in: "answers", at: now).actions
        return actions
            + actions.compactMap { action in
                guard case .change(let changes) = action else { return nil }
                return .changeAfter(changes.map { ElementChange(set: $0.set, remove: $0.add) })
            }
    }

    /// Whether a packet belongs to a connection whose first flight is awaited: then nobody need be asked who sends it.
    package func awaits(_ question: PacketQuestion) -> Bool {
        let key = FlowKey(question)
        return flows[key] != nil || flows.isSettled(key)
    }

    /// How long a segment is held that does not make a first flight.
    ///
    /// What has not left the host keeps TCP from sending more (tcp_should_autocork, tcp_small_queue_check, Linux 6.18): then it
    /// is dropped, while its bytes are known. TCP sends it again, and the next ones at once. Less than the least time after
    /// which TCP takes a segment for lost, 200 ms, which would keep it from sending anything new.
    private static let holdTime = Instant.Span.milliseconds(5)

    // MARK: Segments

    /// A segment of a connection whose first flight is awaited.
    mutating func judgeFlight(_ question: PacketQuestion, in bytes: RawSpan, at now: Instant) -> [BrokerAction] {
        guard let packet = question.packet else { return [.answer(question.reference, .drop)] }
        let key = FlowKey(question)
        guard !packet.payload.isEmpty else {
            let isLast = packet.tcpFlags.map { !$0.isDisjoint(with: [.fin, .rst]) } ?? false
            return isLast ? finish(key, question.reference, at: now) : [.answer(question.reference, .pass)]
        }
        if let passes = flows.passes(key) { return [.answer(question.reference, passes ? .again : .drop)] }
        guard let flow = flows.take(key) else { return refuseUnawaited(question, at: now) }
        return read(flow, key, question, in: bytes, at: now)
    }

    /// A segment of a connection that an earlier daemon let begin: what it has seen of it is not known.
    private mutating func refuseUnawaited(_ question: PacketQuestion, at now: Instant) -> [BrokerAction] {
        [.answer(question.reference, .drop)] + endUnawaited(FlowKey(question), of: question.sender, at: now)
    }

    /// Ends a connection whose first flight an earlier daemon awaited.
    package mutating func endUnawaited(_ key: FlowKey, of sender: Facts?, at now: Instant) -> [BrokerAction] {
        let learned = sender.map { learn($0) }
        let identity = learned?.0.identity ?? .unidentified
        var decision = Decision(verdict: .deny, reason: .revoked)
        if settings.observesOnly { decision = Decision(verdict: .observe, reason: .observeMode) }
        let sender = sender ?? Facts(cgroup: 0, path: "", uid: nil)
        let flow = flow(identity, sender, decision, at: now)
        let message = "its first flight was awaited when the daemon ended"
        return [.change(learned?.1 ?? [])] + end(flow, key, decision, message, at: now)
    }

    func flow(_ identity: Identity, _ sender: Facts, _ decision: Decision, at now: Instant) -> Flow {
        Flow(
            identity: identity,
            sender: sender,
            decision: decision,
            deadline: now + FlowTable.patience,
            reader: FlightReader(cryptography: cryptography),
        )
    }

    private mutating func read(
        _ taken: Flow,
        _ key: FlowKey,
        _ question: PacketQuestion,
        in bytes: RawSpan,
        at now: Instant,
    ) -> [BrokerAction] {
        var flow = taken
        guard let packet = question.packet else { return [.answer(question.reference, .drop)] }
        flow.arrived = flow.arrived ?? question.arrived
        // One that ends on the way would be judged in the place of one that does not.
        guard packet.hopLimit >= Self.leastHopLimit else {
            flow.held.append(question.reference)
            let message = "a hop limit of \(packet.hopLimit), below \(Self.leastHopLimit)"
            return refuse(flow, key, .wrongProtocol, message, at: now)
        }
        guard flows.mayHold(flow.identity, besides: flow) else {
            flow.held.append(question.reference)
            return refuse(flow, key, .limit, "more packets wait than the workload may have", at: now)
        }
        let progress: FlightReader.Progress
        if packet.transport == .udp {
            flow.held.append(question.reference)
            progress = flow.reader.read(datagram: bytes.extracting(packet.payload))
        } else {
            var stream = flow.stream ?? StreamReassembler(initial: packet.tcpSequence &- 1)
            let outcome = stream.take(packet, in: bytes)
            flow.stream = stream
            switch outcome {
            case .new: flow.held.append(question.reference)
            case .known:
                flows.put(flow, key)
                return [.answer(question.reference, .drop)]
            case .conflict:
                flow.held.append(question.reference)
                return refuse(flow, key, .wrongProtocol, "a segment that was sent again with other bytes", at: now)
            case .refused(let refusal):
                flow.held.append(question.reference)
                let isLimit = refusal == .tooManySegments || refusal == .tooFarAhead
                return refuse(flow, key, isLimit ? .limit : .wrongProtocol, refusal.description, at: now)
            }
            progress = flow.reader.read(stream.contiguous)
        }
        switch progress {
        case .done(let flight): return settle(flow, key, flight, at: now)
        case .more(let candidate):
            guard !mayBecome(candidate, flow) else {
                flows.put(flow, key)
                if packet.transport == .tcp { flows.letGo(key, at: now + Self.holdTime) }
                return []
            }
            return settle(flow, key, flow.whatCame, at: now)
        }
    }

    /// Whether what has come so far may become something that is allowed.
    private func mayBecome(_ candidate: Application, _ flow: Flow) -> Bool {
        // The first segment may be still to come.
        guard !flow.isObserved, flow.stream.map({ $0.contiguous.byteCount > 0 }) ?? true else { return true }
        let protocols = flow.decision.protocols
        // What is not told yet is a line of text.
        guard let candidate = ApplicationProtocol(candidate) else { return !protocols.isDisjoint(with: [.http, .ssh]) }
        return protocols.contains(candidate)
    }

    /// What hosts send with, at least.
    private static let leastHopLimit: UInt8 = 64

    // MARK: Servers

    /// What a server says before its client has proved anything.
    mutating func judgeGreeting(_ question: PacketQuestion, in bytes: RawSpan, at now: Instant) -> [BrokerAction] {
        guard let packet = question.packet, !packet.payload.isEmpty else { return [.answer(question.reference, .pass)] }
        let key = FlowKey(question)
        if let passes = flows.passes(key) { return [.answer(question.reference, passes ? .again : .drop)] }
        // It is sent again: by then its client may be known.
        guard var flow = flows.take(key) else { return [.answer(question.reference, .drop)] }
        var greeting = flow.greeting ?? StreamReassembler(initial: packet.tcpSequence &- 1)
        let outcome = greeting.take(packet, in: bytes)
        flow.greeting = greeting
        let progress = ServerReader.read(greeting.contiguous)
        switch (outcome, progress) {
        case (.new, .more(let candidate)), (.known, .more(let candidate)):
            if flow.isObserved || flow.decision.protocols.contains(.ssh) {
                flows.put(flow, key)
                return [.answer(question.reference, .pass)]
            }
            var flight = ServerReader.giveUp(greeting.contiguous)
            if candidate == .ssh { flight.application = .ssh }
            return settle(flow, key, flight, greeting: question.reference, at: now)
        case (.new, .done(let flight)), (.known, .done(let flight)):
            if !flow.isObserved, flight.application == .ssh, flight.flaw == nil, flow.decision.protocols.contains(.ssh)
            {
                flows.put(flow, key)
                return [.answer(question.reference, .pass)]
            }
            return settle(flow, key, flight, greeting: question.reference, at: now)
        case (.conflict, _), (.refused, _):
            flow.held.append(question.reference)
            return refuse(flow, key, .wrongProtocol, "the server's first bytes cannot be told", at: now)
        }
    }
}

extension Flow {
    /// What can be said of it when nobody waits any longer.
    var whatCame: Flight {
        if let stream { return reader.giveUp(stream.contiguous) }
        return reader.giveUpOnDatagrams()
    }
}

extension PacketReference {
    /// Both numbers as one.
    var number: UInt64 { UInt64(queue) << 32 | UInt64(packet) }
}

extension ApplicationProtocol {
    /// What a rule may declare; nil for what none can.
    init?(_ application: Application) {
        switch application {
        case .tls: self = .tls
        case .quic: self = .quic
        case .http: self = .http
        case .ssh: self = .ssh
        default: return nil
        }
    }
}
