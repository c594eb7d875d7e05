internal import Inspection
package import Model
internal import Policy
internal import Ruleset

/// A connection that was open before anybody was asked about it.
package struct OpenConnection: Hashable, Sendable {
    /// This host's end.
    package var holder: Facts
    package var local: Destination
    package var remote: Destination
    /// Whether the other end opened it.
    package var isArrival: Bool

    package init(holder: Facts, local: Destination, remote: Destination, isArrival: Bool) {
        (self.holder, self.local, self.remote) = (holder, local, remote)
        self.isArrival = isArrival
    }
}

extension Broker {
    /// Judges what nobody was asked about: nil when it may go on, else the event of its end, with a message that says how
    /// that came.
    package mutating func takeOver(_ connection: OpenConnection, _ message: String, at now: Instant) -> Event? {
        let (identity, asked, decision) = judge(connection)
        guard decision.verdict == .deny else { return nil }
        var event = Event(time: wall(now), kind: connection.isArrival ? .inbound : .request)
        event.workload = workloadName(identity)
        event.destination = asked
        event.name = connection.isArrival ? nil : knownName(identity, asked.address)
        if identity.isWorkload { event.generation = UInt32(assignment(identity).generation) }
        fill(&event, decision, connection.holder)
        event.message = message
        requests.note(&event)
        return event
    }

    /// Whether it may not go on, by what is known of its holder: without the process no rule for one program lets it.
    package func mustEnd(_ connection: OpenConnection) -> Bool { judge(connection).decision.verdict == .deny }

    private func judge(
        _ connection: OpenConnection
    ) -> (identity: Identity, asked: Destination, decision: Decision) {
        let (holder, transport) = (connection.holder, connection.local.transport)
        let identity = resolve(path: holder.path, uid: holder.uid).identity
        let allow = Decision(verdict: .allow, reason: .rule)
        if connection.isArrival {
            let asked = Destination(
                address: connection.remote.address,
                port: connection.local.port,
                transport: transport,
            )
            let mayGoOn = mayGoOn(identity, from: asked.address, port: asked.port, transport: transport)
            return (identity, asked, mayGoOn ? allow : Decision(verdict: .deny, reason: .notListening))
        }
        let decision = decide(identity, connection.remote, holder.process, isOpen: true)
        // What is open cannot wait for an operator.
        let isHeld = decision.verdict == .hold
        let final = isHeld ? Decision(verdict: .deny, reason: decision.reason) : decision
        return (identity, connection.remote, identity == .daemon ? allow : final)
    }

    // MARK: First flights

    /// Whether the first flight of a connection is awaited.
    package var awaitsFlights: Bool { !flows.isEmpty }

    /// The connections over TCP whose first flights are awaited, each with the sequence number of its SYN.
    package var awaitedFlights: [(key: FlowKey, initial: UInt32)] {
        flows.keys { $0.stream != nil }.compactMap { key in flows[key]?.stream.map { (key, $0.initial) } }
    }

    /// The sequence number of the SYN that began the wait for a first flight just now; nil for any other packet.
    package func beginning(_ question: PacketQuestion) -> UInt32? {
        guard question.opensFlow, question.destination.transport == .tcp else { return nil }
        return flows[FlowKey(question)]?.stream?.initial
    }

    /// Awaits the first flight of a connection that an earlier daemon let begin.
    ///
    /// None of its bytes has left the host, or it would have a verdict; those that were held are sent again, and read from
    /// the first one on, which follows the number of its SYN.
    package mutating func resume(
        _ key: FlowKey,
        initial: UInt32,
        of sender: Facts,
        at now: Instant,
    ) -> [BrokerAction] {
        let (assignment, changes) = learn(sender)
        let decision = decide(assignment.identity, key.destination, sender.process)
        let isAwaited = decision.verdict == .observe || decision.verdict == .allow && !decision.protocols.isEmpty
        guard isAwaited, flows.hasRoom(assignment.identity) else { return endUnawaited(key, of: sender, at: now) }
        var flow = flow(assignment.identity, sender, decision, at: now)
        flow.stream = StreamReassembler(initial: initial)
        flows.put(flow, key)
        return [.change(changes)]
    }
}
