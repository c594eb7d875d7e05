import Model

@testable import Ruleset

/// The chains of the layout, written once more by hand.
extension KernelModel {
    private func host(_ value: UInt32) -> [UInt8] {
        var key = Key()
        key.host(value)
        return key.bytes
    }

    private func cgroupKey(_ cgroup: UInt64, _ words: UInt32...) -> [UInt8] {
        var key = Key()
        key.host(cgroup)
        for word in words { key.host(word) }
        return key.bytes
    }

    private func request(_ identity: UInt32, _ destination: Destination, port: UInt16? = nil, interval: Bool = false)
        -> [UInt8]
    {
        var key = Key()
        if interval { key.network(identity) } else { key.host(identity) }
        key.address(destination.address)
        key.transport(destination.transport)
        key.port(destination.port)
        if let port { key.port(port) }
        return key.bytes
    }

    private func suffix(_ destination: Destination) -> String { destination.address.isV4 ? "4" : "6" }

    /// `goto CHAIN` of those that settle.
    private mutating func end(_ chain: String, _ flow: inout Flow, at now: Instant) -> Fate {
        let stamp = lookUp("stamps", host(flow.identity), at: now)
        guard chain == "refuse" || stamp != nil else {
            return .vanished("no stamp for identity \(flow.identity >> 16)")
        }
        if case .mark(let mark)? = stamp?.data, chain != "refuse" { flow.mark = mark }
        switch chain {
        case "allow": return .accepted(how: "answer")
        case "admit_inbound":
            flow.mark = flow.mark & Stamp.generationMask | UInt32(Stamp.State.inbound.rawValue)
            return .accepted(how: "answer")
        case "refuse":
            flow.mark = flow.mark & Stamp.generationMask | UInt32(Stamp.State.denied.rawValue)
            return .refused(.element)
        default: return .vanished("there is no chain \(chain)")
        }
    }

    private mutating func admit(_ flow: inout Flow, how: String, at now: Instant) -> Fate {
        let destination = flow.destination
        let key = request(flow.identity, destination)
        if case .mark(let mark)? = lookUp("stamps", host(flow.identity), at: now)?.data { flow.mark = mark }
        return holds("seen\(suffix(destination))", key, at: now) ? .accepted(how: how) : .logged(.allowed, how: how)
    }

    /// `answered4` and `answered6`.
    private mutating func answered(_ flow: inout Flow, at now: Instant) -> Fate? {
        let answers = request(flow.identity, flow.destination, port: flow.otherPort)
        return answer("answers\(suffix(flow.destination))", answers, &flow, at: now)
    }

    /// What the broker answered, which is the stamp itself.
    private mutating func answer(_ map: String, _ key: [UInt8], _ flow: inout Flow, at now: Instant) -> Fate? {
        guard case .mark(let mark)? = lookUp(map, key, at: now)?.data else { return nil }
        flow.mark = mark
        let isDenied = mark & 0xff == UInt32(Stamp.State.denied.rawValue)
        guard isDenied, case .refused = end("refuse", &flow, at: now) else { return .accepted(how: "answer") }
        return .refused(map.hasPrefix("others") ? .element : .answer)
    }

    private mutating func refusedBefore(_ flow: inout Flow, at now: Instant) -> Fate? {
        let key = request(flow.identity, flow.destination)
        return holds("denied\(suffix(flow.destination))", key, at: now) ? end("refuse", &flow, at: now) : nil
    }

    /// `judge4` and `judge6`.
    private mutating func judge(_ flow: inout Flow, at now: Instant) -> Fate? {
        let suffix = suffix(flow.destination)
        let key = request(flow.identity, flow.destination)
        if holds("hosts\(suffix)", key, at: now) { return admit(&flow, how: "hosts", at: now) }
        let shard = Int(flow.mark & Layout.shardMask) >> 16
        if covers("rules\(suffix)_\(shard)", request(flow.identity, flow.destination, interval: true)) {
            return admit(&flow, how: "rules", at: now)
        }
        if holds("pins\(suffix)", key, at: now) { return admit(&flow, how: "pins", at: now) }
        if holds("grants\(suffix)", key, at: now) { return admit(&flow, how: "grants", at: now) }
        return answered(&flow, at: now) ?? refusedBefore(&flow, at: now)
    }

    /// What begins, of an identity that was refused too often.
    private mutating func flooded(_ flow: inout Flow, at now: Instant) -> Fate? {
        !flow.isConfirmed && holds("floods", host(flow.identity), at: now) ? end("refuse", &flow, at: now) : nil
    }

    /// `ask_loopback`.
    private mutating func askLoopback(_ flow: inout Flow, at now: Instant) -> Fate {
        let isWorkload = flow.identity >> 16 >= UInt32(Identity.firstWorkload)
        return (isWorkload ? flooded(&flow, at: now) : nil) ?? .asked(.loopback)
    }

    /// What a rule let through a moment ago.
    private mutating func lately(_ flow: inout Flow, at now: Instant) -> Fate? {
        let key = request(flow.identity, flow.destination)
        guard case .mark(let mark)? = lookUp("lately\(suffix(flow.destination))", key, at: now)?.data else {
            return nil
        }
        flow.mark = mark
        return .accepted(how: "rules")
    }

    private mutating func others(_ flow: inout Flow, at now: Instant) -> Fate? {
        var key = Key()
        key.host(flow.identity)
        key.address(flow.destination.address)
        key.transport(flow.destination.transport)
        return answer("others\(suffix(flow.destination))", key.bytes, &flow, at: now)
    }

    private mutating func isCurrent(_ flow: Flow, at now: Instant) -> Bool {
        holds("current", host(flow.mark), at: now)
    }

    /// The output hook: `identify`, then `decide`.
    mutating func output(_ flow: inout Flow, _ packet: Packet, cgroup: UInt64, uid: UInt32, at now: Instant) -> Fate {
        let keepsStamp = flow.destination.transport == .tcp && !(packet.opensFlow && !packet.isReply)
        if !(keepsStamp && flow.identity != 0) {
            if holds("senders", cgroupKey(cgroup, uid, flow.mark & Stamp.generationMask), at: now) {
                // Its own stamp stays.
            } else if case .mark(let mark)? = lookUp("workloads", cgroupKey(cgroup, uid), at: now)?.data {
                flow.mark = mark
            } else {
                return .asked(.sender)
            }
        }
        return decide(&flow, packet, at: now)
    }

    mutating func decide(_ flow: inout Flow, _ packet: Packet, at now: Instant) -> Fate {
        if isCurrent(flow, at: now) { return .accepted(how: "current") }
        let isPorted = flow.destination.transport.hasPorts
        if flow.kind == .loopback, isPorted { return .accepted(how: "loopback") }
        if isPorted, let fate = lately(&flow, at: now) { return fate }
        if flow.destination.transport == .tcp, !packet.opensFlow {
            switch Stamp.State(rawValue: UInt8(truncatingIfNeeded: flow.mark)) {
            case .inspecting: return packet.isBare ? .accepted(how: "handshake") : .asked(.flight)
            case .denied: return .refused(.state)
            default: break
            }
        }
        if holds("open", host(flow.identity), at: now) { return end("allow", &flow, at: now) }
        if let fate = isPorted ? judge(&flow, at: now) : others(&flow, at: now) { return fate }
        return packet.isReply ? .asked(.reply) : flooded(&flow, at: now) ?? .asked(.outbound)
    }

    /// The input hook, for what comes over loopback.
    mutating func loopback(_ flow: inout Flow, receiver: UInt64, at now: Instant) -> Fate {
        if isCurrent(flow, at: now) { return .accepted(how: "current") }
        guard flow.identity != 0 else { return .injected }
        if holds("residents", cgroupKey(receiver, flow.identity), at: now) { return end("allow", &flow, at: now) }
        if holds("strangers", cgroupKey(receiver), at: now) {
            if holds("free", host(flow.identity), at: now) { return end("allow", &flow, at: now) }
            return lately(&flow, at: now) ?? judge(&flow, at: now) ?? askLoopback(&flow, at: now)
        }
        return answered(&flow, at: now) ?? refusedBefore(&flow, at: now) ?? askLoopback(&flow, at: now)
    }

    /// The input hook, for what comes from outside.
    mutating func input(_ flow: inout Flow, _ packet: Packet, receiver: UInt64, at now: Instant) -> Fate {
        guard flow.destination.transport.hasPorts else { return .accepted(how: "portless") }
        if flow.destination.transport == .tcp, !packet.opensFlow, isCurrent(flow, at: now) {
            return .accepted(how: "current")
        }
        guard case .mark(let mark)? = lookUp("owners", cgroupKey(receiver), at: now)?.data else {
            return .asked(.receiver)
        }
        flow.mark = mark
        if isCurrent(flow, at: now) { return .accepted(how: "owners") }
        let suffix = suffix(flow.destination)
        let answers = request(flow.identity, flow.destination, port: flow.otherPort)
        if let fate = answer("arrivals\(suffix)", answers, &flow, at: now) { return fate }
        let shard = Int(flow.mark & Layout.shardMask) >> 16
        if covers("listen\(suffix)_\(shard)", request(flow.identity, flow.destination, interval: true)) {
            guard case .accepted = end("admit_inbound", &flow, at: now) else {
                return .vanished("no stamp for a listener")
            }
            return .logged(.inbound, how: "listen")
        }
        let isRefused =
            holds("knocks\(suffix)", request(flow.identity, flow.destination), at: now)
            || holds("sieges", host(flow.identity), at: now)
        return isRefused ? .refused(.element) : .asked(.inbound)
    }

    /// The forward hook.
    mutating func forward(_ flow: inout Flow, at now: Instant) -> Fate {
        if isCurrent(flow, at: now) { return .accepted(how: "current") }
        flow.mark = Stamp(.forwarded, generation: 0, .new).mark
        if holds("open", host(flow.identity), at: now) { return end("allow", &flow, at: now) }
        let isPorted = flow.destination.transport.hasPorts
        let fate = isPorted ? judge(&flow, at: now) : others(&flow, at: now)
        return fate ?? flooded(&flow, at: now) ?? .asked(.forward)
    }
}
