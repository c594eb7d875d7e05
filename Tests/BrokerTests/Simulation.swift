import Model
import Policy
import Ruleset

@testable import Broker

/// The broker and a model of the kernel, played against each other by one seed.
struct Simulation {
    /// What goes wrong besides what happens in any order.
    enum Weather: CaseIterable {
        /// Nothing, and policies stay as they are: every refused packet is told of exactly once.
        case calm
        /// Reloads and cgroups that go. A packet that waits meanwhile may be told of under its old and its new identity.
        case fair
        /// Answers get lost, sockets are not found or taken for others.
        case foul
    }

    let weather: Weather
    var random: SplitMix
    var now = Instant(nanoseconds: 1_000_000_000_000)
    var broker: Broker
    var kernel: KernelModel
    var policies: PolicySet
    var settings: Broker.Settings
    var cgroupIDs: [UInt64] = Universe.paths.indices.map { UInt64(10 + $0) }
    var nextCgroup: UInt64 = 100
    /// The process that listens, by port and transport.
    let listeners: [Int]
    var flows: [Int: Flow] = [:]
    var nextFlow = 0
    /// Packets in the queues, by number.
    var waiting: [UInt32: Packet] = [:]
    var nextPacket: UInt32 = 1
    /// What the log still has to tell.
    var logged: [LoggedPacket] = []
    var lateSettles: [Window.Key] = []
    /// Grants as the actions told of them.
    var grants: [Int64: Grant] = [:]
    var failures: [String] = []
    var trace: [String] = []
    // What was counted.
    var refused: UInt64 = 0
    var told: UInt64 = 0
    var lost: UInt64 = 0
    var mistaken: UInt64 = 0
    var untold: UInt64 = 0
    /// Refused by the answer to another attempt of the same port.
    var uncounted: UInt64 = 0
    var accepted = 0
    var reloads = 0
    /// Told of without being refused, by destination.
    var ledger: [Destination: Int64] = [:]

    init(seed: UInt64, weather: Weather) {
        self.weather = weather
        var random = SplitMix(state: seed)
        policies = Universe.policies(after: .empty, &random)
        settings = Universe.settings(&random)
        broker = Broker(settings: settings, policies: policies)
        kernel = KernelModel(renewsTimeouts: Bool.random(using: &random))
        listeners = (0..<16).map { _ in Int.random(in: 0..<Universe.processes.count, using: &random) }
        self.random = random
        let layout = Layout(firstQueue: 8100, observesOnly: settings.observesOnly)
        kernel.apply(layout.constants + broker.elements(), at: now)
        check("start")
    }

    mutating func fail(_ text: String) {
        if failures.count < 5 { failures.append("\(text); before: \(trace.suffix(6).joined(separator: " | "))") }
    }

    mutating func note(_ text: String) {
        trace.append(text)
        if trace.count > 64 { trace.removeFirst(32) }
    }

    // MARK: Running

    mutating func run(steps: Int) {
        for _ in 0..<steps where failures.isEmpty { step() }
        guard failures.isEmpty else { return }
        quiesce()
    }

    private mutating func step() {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<22: openFlow()
        case 22..<36: send(again: true)
        case 36..<66: deliver()
        case 66..<74: tellLogged()
        case 74..<85: passTime()
        case 85..<89: if weather != .calm { reload() }
        case 89..<94: approve()
        case 94..<97: revoke()
        case 97..<98: if weather != .calm { loseCgroup() }
        default: settleLate()
        }
        check("step")
    }

    /// Lets everything come to its end: nothing may be left over.
    private mutating func quiesce() {
        for _ in 0..<200 where failures.isEmpty {
            while !waiting.values.allSatisfy(\.isDelivered), failures.isEmpty { deliver() }
            while !lateSettles.isEmpty { settleLate() }
            tellLogged()
            now = now + .seconds(5)
            perform(broker.tick(at: now), of: nil)
            check("end")
        }
        guard failures.isEmpty else { return }
        if !waiting.isEmpty { fail("\(waiting.count) packets were never answered") }
        if broker.nextDeadline.map({ $0 <= now }) ?? false { fail("something is due and never done") }
        for set in ["denied", "knocks", "seen", "others", "answers", "arrivals"] {
            for suffix in ["4", "6"] where !kernel.keys(set + suffix, at: now).isEmpty {
                fail("\(set)\(suffix) still has \(kernel.keys(set + suffix, at: now).count) elements")
            }
        }
        if told + uncounted + (weather == .calm ? 0 : untold) < refused {
            fail(
                "\(refused) packets were refused, \(told) told of (\(untold) dropped after they were let through), \(ledger.filter { $0.value != 0 })"
            )
        }
        if weather == .calm, told > refused + mistaken { fail("\(refused) packets were refused and \(told) told of") }
    }

    // MARK: Packets

    private mutating func openFlow() {
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

    private mutating func drop(flow: Int) {
        guard !waiting.values.contains(where: { $0.flow == flow }) else { return }
        flows[flow] = nil
    }

    private mutating func send(again: Bool) {
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
    private mutating func meet(_ packet: Packet, from hook: Layout.Question? = nil) {
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

    private mutating func settle(_ fate: Fate, _ packet: Packet, _ flow: Flow) {
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
        case .refused(let isCounted):
            if !isCounted, packet.toldRefused == 0 { uncounted += 1 }
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
    private var countedAlone: UInt64 {
        broker.windows.reduce(0) { $0 + ($1.key.isInKernel ? 0 : $1.value.dropped + 1) }
    }

    private mutating func tellLogged() {
        while let packet = logged.popLast() {
            perform(broker.handle(packet, at: now), of: nil)
            if random.chance(50) { break }
        }
    }

    // MARK: Actions

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
            case .saveGrant(let grant): grants[grant.id] = grant.state == .active ? grant : nil
            case .saveAssignments: break
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

    private mutating func settleLate() {
        guard !lateSettles.isEmpty else { return }
        settle(lateSettles.removeFirst())
    }

    /// The daemon looks at what others opened to sockets of an identity; its own are judged at their next packet.
    private mutating func recheck(_ identity: Identity) {
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

    private mutating func record(_ event: Event, of number: UInt32?) {
        guard event.kind == .request || event.kind == .inbound else { return }
        if event.verdict == .deny {
            told += event.count
            if let number { waiting[number]?.toldRefused += 1 }
            if let destination = event.destination { ledger[destination, default: 0] += Int64(event.count) }
            note("told \(event.count) \(event.destination?.description ?? "") \(event.reason?.rawValue ?? "")")
        } else if event.verdict != .hold, let number {
            waiting[number]?.toldAllowed = true
        }
        if event.count == 0 { fail("an event of nothing") }
        if event.verdict == nil || event.reason == nil { fail("an event without a verdict") }
    }

    private mutating func finish(
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

    private mutating func refuse(_ flow: Flow, _ packet: Packet) {
        refused += 1
        mistaken += max(packet.toldRefused, 1) - 1
        ledger[flow.destination, default: 0] -= 1
        if packet.toldAllowed { untold += 1 }
        note("refused \(flow.destination) of \(flow.process)")
    }
}
