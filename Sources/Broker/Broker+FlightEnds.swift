package import Model
internal import Policy
internal import Ruleset

/// First flights that do not come, or not as a whole.
extension Broker {
    /// Whether a connection goes on whatever it says, by what is in force now.
    private func mustPass(_ flow: Flow, _ key: FlowKey) -> Bool {
        guard flow.isObserved, !settings.observesOnly else { return settings.observesOnly }
        let decision = decide(flow.identity, key.destination, flow.sender.process)
        return decision.verdict == .observe || decision.isPlain
    }

    /// Ends the connections that did not prove in time what they are.
    mutating func endFlows(at now: Instant) -> [BrokerAction] {
        var actions = letGo(at: now)
        flows.forget(at: now)
        for key in flows.takeDue(at: now) {
            guard let flow = flows[key] else { continue }
            if flow.arrived == nil, !mustPass(flow, key), key.destination.transport == .tcp {
                actions.append(.expire(key, flow.sender.device))
            } else if let flow = flows.take(key) {
                let seconds = FlowTable.patience.nanoseconds / 1_000_000_000
                actions += refuse(flow, key, .wrongProtocol, "no whole first flight within \(seconds) s", at: now)
            }
        }
        return actions
    }

    /// Drops the segments that were held for long enough: what `promptDeadline` is about.
    package mutating func letGo(at now: Instant) -> [BrokerAction] {
        flows.takeLettingGo(at: now).flatMap { letGo($0, at: now) }
    }

    /// Does not hold the segments of a connection any longer, which do not make a first flight.
    private mutating func letGo(_ key: FlowKey, at now: Instant) -> [BrokerAction] {
        guard var flow = flows.take(key) else { return [] }
        // What is not refused is not kept waiting.
        if mustPass(flow, key) { return settle(flow, key, flow.whatCame, at: now) }
        let packets = flow.held
        flow.held = []
        flows.put(flow, key)
        return packets.map { .answer($0, .drop) }
    }

    /// The daemon has ended a connection that said nothing, or found that it had ended by itself.
    package mutating func expired(_ key: FlowKey, wasOpen: Bool, at now: Instant) -> [BrokerAction] {
        guard let flow = flows.take(key) else { return [] }
        guard !wasOpen else {
            let seconds = FlowTable.patience.nanoseconds / 1_000_000_000
            return refuse(flow, key, .wrongProtocol, "no first flight within \(seconds) s", at: now)
        }
        return tellOfEnd(flow, key, at: now)
    }

    /// The peer has not answered yet: the time of the first flight has not begun.
    package mutating func postpone(_ key: FlowKey, at now: Instant) -> [BrokerAction] {
        guard var flow = flows.take(key) else { return [] }
        flow.deadline = now + FlowTable.patience
        flows.put(flow, key)
        return []
    }

    /// The client has nothing more to say; `packet` tells its peer.
    mutating func finish(_ key: FlowKey, _ packet: PacketReference, at now: Instant) -> [BrokerAction] {
        guard var flow = flows.take(key) else { return [.answer(packet, .pass)] }
        guard flow.arrived == nil else {
            flow.held.append(packet)
            return settle(flow, key, flow.whatCame, at: now)
        }
        // Of what is observed the server's side goes on.
        let stamp = assignment(flow.identity).stamp(.observed)
        let stamps: [BrokerAction] = mustPass(flow, key) ? [.stamp(key, stamp, flow.sender.device)] : []
        return stamps + [.answer(packet, .pass)] + tellOfEnd(flow, key, at: now)
    }

    private mutating func tellOfEnd(_ flow: Flow, _ key: FlowKey, at now: Instant) -> [BrokerAction] {
        var event = event(of: flow, key, flow.decision, at: now)
        event.message = "it ended before its first flight"
        return tell(event, of: flow, key, at: now)
    }

    /// Ends the wait for first flights of identities that are gone, and of sockets that another one has now: whoever judged
    /// them later would judge by the wrong policy, or as if they had been judged.
    mutating func giveUpFlights(
        at now: Instant,
        because message: String = "its workload is gone, or another one has its cgroup",
        where isMeant: (Flow) -> Bool,
    ) -> [BrokerAction] {
        flows.keys(where: isMeant).flatMap { key -> [BrokerAction] in
            guard let flow = flows.take(key) else { return [] }
            // What was only observed goes on, and is judged as whoever's it is by now.
            let decision = refusal(.revoked, of: flow.decision)
            return end(flow, key, decision, message, at: now)
        }
    }

    /// Lets go of a connection whose port another one has taken.
    mutating func abandon(_ key: FlowKey, at now: Instant) -> [BrokerAction] {
        flows.forget(key)
        guard let flow = flows.take(key) else { return [] }
        return flow.held.map { .answer($0, .drop) } + tellOfEnd(flow, key, at: now)
    }
}
