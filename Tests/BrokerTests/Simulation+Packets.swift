import Model
import Policy
import Ruleset
import TestSupport

@testable import Broker

/// Packets on their way.
extension Simulation {
    mutating func openFlow() {
        let kinds: [Flow.Kind] = [.outbound, .outbound, .outbound, .outbound, .inbound, .loopback, .forwarded]
        let kind = random.pick(kinds)
        let process = Int.random(in: 0..<Universe.processes.count, using: &random)
        var destination = Universe.destination(&random)
        if kind == .loopback {
            destination.address = random.pick(Universe.loopback)
            if !destination.transport.hasPorts { destination.port = 22; destination.transport = .tcp }
        }
        // A port of its own for every process, so that an attempt is one program's; few, so that they come again.
        let port = UInt16(40_000 + process * 4 + Int.random(in: 0..<4, using: &random))
        // A port has one listener.
        let listener = listeners[(Int(destination.port) + Int(destination.transport.number)) % listeners.count]
        let flow = Flow(
            kind: kind,
            destination: destination,
            otherPort: destination.transport.hasPorts ? port : 0,
            process: kind == .inbound ? listener : process,
            receiver: listener,
        )
        flows[nextFlow] = flow
        nextFlow += 1
        if flows.count > 60, let oldest = flows.keys.min() { drop(flow: oldest) }
        meet(Packet(flow: nextFlow - 1, opensFlow: true, isReply: false))
    }

    mutating func drop(flow: Int) {
        guard !waiting.values.contains(where: { $0.flow == flow }) else { return }
        flows[flow] = nil
    }

    mutating func send(again: Bool) {
        guard let number = flows.keys.sorted().randomElement(using: &random), let flow = flows[number] else { return }
        let isReply = flow.kind == .inbound && flow.isConfirmed && random.chance(50)
        let opens = flow.destination.transport != .tcp || (!flow.isConfirmed || random.chance(25)) && !isReply
        meet(Packet(flow: number, opensFlow: opens, isReply: isReply))
    }

    func facts(_ process: Int) -> Facts {
        let its = Universe.processes[process]
        return Facts(
            cgroup: cgroupIDs[its.place],
            path: Universe.paths[its.place],
            uid: its.uid,
            process: ProcessRecord(
                pid: Int32(process + 100),
                executable: its.executable,
                command: [its.executable],
                uid: its.uid,
                isCertain: its.isCertain,
            ),
        )
    }

    /// A packet meets the chains, from the hook at which it was asked about.
    mutating func meet(_ packet: Packet, from hook: Layout.Question? = nil) {
        guard var flow = flows[packet.flow] else { return }
        if !flow.isConfirmed { flow.mark = packet.mark }
        let process = Universe.processes[flow.process]
        let receiver = cgroupIDs[Universe.processes[flow.receiver].place]
        let cgroup = cgroupIDs[process.place]
        var fate: Fate
        switch (flow.kind, hook) {
        case (.forwarded, _):
            fate = kernel.forward(&flow, at: now)
        case (.inbound, _) where !packet.isReply:
            fate = kernel.input(&flow, packet, receiver: cgroup, at: now)
        case (.loopback, .loopback?):
            fate = kernel.loopback(&flow, receiver: receiver, at: now)
        case (_, .outbound?), (_, .reply?):
            fate = kernel.decide(&flow, packet, at: now)
        default:
            fate = kernel.output(&flow, packet, cgroup: cgroup, uid: process.uid, at: now)
            if flow.kind == .loopback, case .accepted("loopback") = fate {
                fate = kernel.loopback(&flow, receiver: receiver, at: now)
            }
        }
        var packet = packet
        switch fate {
        case .accepted, .logged:
            flow.isConfirmed = true
            flows[packet.flow] = flow
        case .refused, .injected, .vanished, .asked:
            packet.mark = flow.mark
            if flow.isConfirmed { flows[packet.flow] = flow }
        }
        settle(fate, packet, flow)
    }

    mutating func settle(_ fate: Fate, _ packet: Packet, _ flow: Flow) {
        switch fate {
        case .accepted(let how):
            accepted += 1
            mistaken += packet.toldRefused
            judge(flow, packet, how)
        case .logged(let kind, let how):
            accepted += 1
            mistaken += packet.toldRefused
            judge(flow, packet, how)
            if weather == .fair || !random.chance(10) {
                logged.append(
                    LoggedPacket(
                        kind: kind == .allowed ? .allowed : .inbound,
                        destination: flow.destination,
                        source: Universe.outside[0],
                        opensFlow: packet.opensFlow,
                        local: flow.kind == .forwarded ? nil : facts(flow.process),
                    ),
                )
            }
        case .refused(let refuser):
            switch refuser {
            case .element: break
            case .answer: if packet.toldRefused == 0 { uncounted += 1 }
            // A connection is refused once. When it is told of again, since its window was gone meanwhile, that stands for
            // the next attempt that the new window's element counts.
            case .state: uncounted += 1
            }
            refuse(flow, packet)
        case .asked(let question):
            var packet = packet
            packet.kind = question
            packet.rounds += 1
            packet.isDelivered = false
            packet.reloads = reloads
            guard packet.rounds < 64 else { return fail("\(flow) goes round and round, asking \(question)") }
            waiting[nextPacket] = packet
            nextPacket += 1
        case .injected:
            // Its stamp was taken off while it waited; it may have been told of before.
            if packet.toldRefused > 0 { mistaken += 1 }
            if settings.observesOnly { accepted += 1 } else { refuse(flow, packet) }
            let destination = flow.destination
            logged.append(
                LoggedPacket(
                    kind: .injected,
                    destination: destination,
                    source: destination.address,
                    opensFlow: true,
                    local: nil
                ),
            )
        case .vanished(let why):
            fail("\(flow): \(why)")
        }
    }

    /// Hands a packet that waits to the broker.
    mutating func deliver() {
        let ready = waiting.filter { !$0.value.isDelivered }.keys.sorted()
        guard let number = ready.randomElement(using: &random), let packet = waiting[number],
            let flow = flows[packet.flow]
        else { return }
        waiting[number]?.isDelivered = true
        var sender = flow.kind == .forwarded || flow.kind == .inbound && !packet.isReply ? nil : facts(flow.process)
        var receiver = flow.kind == .loopback ? facts(flow.receiver) : nil
        if flow.kind == .inbound, !packet.isReply { receiver = facts(flow.process) }
        var uid: UInt32? = Universe.processes[flow.process].uid
        if flow.kind == .forwarded || flow.kind == .inbound && !packet.isReply { uid = nil }
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<4:
            // The socket is gone: nothing can be found.
            sender = nil
            if random.chance(50) { uid = nil }
        case 4..<6: receiver = flow.kind == .loopback ? nil : receiver
        // A port has one listener: who would receive is not mistaken for another at the same port. And what waited over a
        // reload bears an old stamp, which is for the socket's cgroup to tell.
        case 6..<10 where weather == .foul && packet.kind != .inbound && packet.reloads == reloads:
            mistaken += 1
            var other = facts(Int.random(in: 0..<Universe.processes.count, using: &random))
            other.process?.isCertain = false
            // One with both ends is found by both.
            other.isConnected = false
            if sender != nil { sender = other } else if receiver != nil { receiver = other }
        default: break
        }
        let question = PacketQuestion(
            kind: packet.kind,
            reference: PacketReference(queue: 8100 + packet.kind.rawValue, packet: number),
            destination: flow.destination,
            otherPort: flow.otherPort,
            source: flow.kind == .loopback ? flow.destination.address : Universe.outside[0],
            opensFlow: packet.opensFlow,
            sender: sender,
            receiver: receiver,
            uid: uid,
            arrived: now,
        )
        note("\(packet.kind) \(flow.destination) #\(number) of \(flow.process)")
        let (orphans, counted) = (broker.orphans, countedAlone)
        let actions = broker.handle(question, at: now)
        let isCounted = counted != countedAlone
        perform(actions, of: number, isOrphan: broker.orphans > orphans && !isCounted, isCounted: isCounted)
    }

    /// How many packets the broker has counted in windows that the kernel knows nothing of, or told of as their first.
    var countedAlone: UInt64 {
        broker.windows.reduce(0) { $0 + ($1.key.isInKernel ? 0 : $1.value.dropped + 1) }
    }

    mutating func tellLogged() {
        while let packet = logged.popLast() {
            perform(broker.handle(packet, at: now), of: nil)
            if random.chance(50) { break }
        }
    }
}
