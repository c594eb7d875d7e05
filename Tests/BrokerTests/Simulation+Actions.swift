import Model
import Policy
import Ruleset
import TestSupport

@testable import Broker

/// What the broker wants done, as the daemon does it.
extension Simulation {
    /// As the daemon does: changes at once, answers last.
    mutating func perform(
        _ actions: [BrokerAction],
        of number: UInt32?,
        isOrphan: Bool = false,
        isCounted: Bool = false,
    ) {
        var answers: [(PacketReference, BrokerAction.Answer)] = []
        let before = told
        for action in actions {
            switch action {
            case .change(let changes): kernel.apply(changes, at: now)
            case .changeAfter, .stamp, .destroy, .expire: fail("nothing was to be inspected here")
            case .clear(let sets): kernel.clear(sets)
            case .answer(let reference, let answer): answers.append((reference, answer))
            case .record(let event): record(event, of: number)
            case .settle(let key): settle(key)
            case .cut(let identity, let generation, let destination):
                let mark = Stamp(identity, generation: generation, .new).mark
                for (number, flow) in flows
                where flow.mark & Stamp.generationMask == mark && flow.destination == destination
                    && flow.kind != .inbound
                {
                    flows[number]?.mark = mark
                }
            case .recheck(let identity): recheck(identity)
            case .unstamp(let cgroups):
                for (number, flow) in flows {
                    let ends = flow.kind == .loopback ? [flow.process, flow.receiver] : [flow.process]
                    guard flow.kind != .forwarded else { continue }
                    let places = ends.map { cgroupIDs[Universe.processes[$0].place] }
                    if places.contains(where: cgroups.contains) { flows[number]?.mark = 0 }
                }
            case .endGrant(let grant): grants[grant.id] = nil
            case .saveAssignments, .savePins, .refresh: break
            }
        }
        for (reference, answer) in answers.sorted(by: { $0.0.packet < $1.0.packet }) {
            finish(reference, answer, isOrphan: isOrphan, isTold: told > before || isCounted)
        }
    }

    mutating func settle(_ key: Window.Key) {
        let packets = key.isInKernel ? kernel.take(key.element, from: key.set) ?? 0 : 0
        perform(broker.settled(key, packets: packets, at: now), of: nil)
    }

    mutating func settleLate() {
        guard !lateSettles.isEmpty else { return }
        settle(lateSettles.removeFirst())
    }

    /// The daemon looks at what others opened to sockets of an identity; its own are judged at their next packet.
    mutating func recheck(_ identity: Identity) {
        for (number, flow) in flows where flow.kind == .inbound || flow.kind == .loopback {
            let local = facts(flow.kind == .inbound ? flow.process : flow.receiver)
            guard broker.identity(path: local.path, uid: local.uid).identity == identity else { continue }
            let peer = flow.destination.address
            if !broker.mayGoOn(identity, from: peer, port: flow.destination.port, transport: flow.destination.transport)
            {
                drop(flow: number)
                flows[number]?.mark = 0
            }
        }
    }

    mutating func record(_ event: Event, of number: UInt32?) {
        guard event.kind == .request || event.kind == .inbound else { return }
        if event.verdict != .allow { noted += event.count }
        if event.verdict == .deny {
            told += event.count
            if event.destination == nil { together += event.count }
            if let number { waiting[number]?.toldRefused += 1 }
            if let destination = event.destination { ledger[destination, default: 0] += Int64(event.count) }
            note("told \(event.count) \(event.destination?.description ?? "") \(event.reason?.rawValue ?? "")")
        } else if event.verdict != .hold, let number {
            waiting[number]?.toldAllowed = true
        }
        if event.count == 0 { fail("an event of nothing") }
        if event.verdict == nil || event.reason == nil { fail("an event without a verdict") }
    }

    mutating func finish(
        _ reference: PacketReference,
        _ answer: BrokerAction.Answer,
        isOrphan: Bool,
        isTold: Bool
    ) {
        guard let packet = waiting.removeValue(forKey: reference.packet), packet.isDelivered else {
            return fail("packet \(reference.packet) was answered, and did not wait")
        }
        guard reference.queue == 8100 + packet.kind.rawValue else { return fail("answered in another queue") }
        if weather == .foul, random.chance(4) {
            lost += 1
            mistaken += packet.toldRefused
            return
        }
        switch answer {
        case .again: meet(packet, from: packet.kind)
        case .pass:
            // Nothing is inspected here: it is what fits no policy, and passes where only is observed.
            guard let flow = flows[packet.flow] else { return }
            guard broker.settings.observesOnly else { return fail("passes alone: \(flow)") }
            settle(.accepted(how: "observe mode"), packet, flow)
        case .drop:
            guard !isOrphan, let flow = flows[packet.flow] else {
                mistaken += packet.toldRefused
                return
            }
            let isRepeated = waiting.values.contains { held in
                guard held.isDelivered, let other = flows[held.flow] else { return false }
                return other.destination == flow.destination && other.otherPort == flow.otherPort
            }
            // The flow is held; this packet of it is not missed.
            if isRepeated, !isTold {
                mistaken += packet.toldRefused
                return
            }
            refuse(flow, packet)
        }
    }

    mutating func refuse(_ flow: Flow, _ packet: Packet) {
        refused += 1
        mistaken += max(packet.toldRefused, 1) - 1
        ledger[flow.destination, default: 0] -= 1
        if packet.toldAllowed { untold += 1 }
        note("refused \(flow.destination) of \(flow.process)")
    }
}
