import Model
import Policy
import Ruleset
import TestSupport
import Testing
import Wire

@testable import Broker

/// Packets on their way.
extension FlightSimulation {
    mutating func open() throws {
        let transport: Transport = random.chance(80) ? .tcp : .udp
        let address = random.pick(["93.184.216.34", "93.184.216.34", "93.184.216.35", "192.0.2.1", "2606:2800::1"])
        let port: UInt16 = transport == .udp ? 443 : random.pick([443, 443, 443, 80, 22])
        var client = try Client(address, port, transport)
        client.port = nextPort
        client.initial = UInt32(truncatingIfNeeded: random.next())
        client.sender = Scenario.facts(random.pick(["/train", "/train", "/other", "/host"]))
        let said = try Self.said(transport, &random)
        let flow = Flow(kind: .outbound, destination: client.destination, otherPort: nextPort, process: 0, receiver: 0)
        var connection = Connection(client: client, said: said, flow: flow)
        connection.pieces = pieces(of: said.bytes.count)
        connections[Int(nextPort)] = connection
        meet(Int(nextPort), transport == .udp ? client.datagram(said.bytes) : client.syn())
        nextPort += 1
    }

    /// The stream cut anywhere, mostly in its order, some of it twice, and a segment behind it.
    private mutating func pieces(of count: Int) -> [Range<Int>] {
        let cuts = (0..<Int.random(in: 0...3, using: &random)).map { _ in Int.random(in: 1..<count, using: &random) }
        let sorted = Set(cuts + [0, count]).sorted()
        var pieces = zip(sorted, sorted.dropFirst()).map { $0..<$1 }
        if random.chance(30) { pieces.shuffle(using: &random) }
        if random.chance(30) { pieces.append(random.pick(pieces)) }
        if random.chance(30) { pieces.append(count..<count + 10) }
        return pieces
    }

    mutating func send() throws {
        let ready = connections.filter { $0.value.isAlive && $0.value.isEstablished }.keys.sorted()
        guard let number = ready.randomElement(using: &random), var connection = connections[number] else { return }
        guard connection.client.destination.transport == .tcp else {
            return meet(number, connection.client.datagram([UInt8](repeating: 0x42, count: 20)))
        }
        guard !connection.pieces.isEmpty else { return }
        let piece = connection.pieces.removeFirst()
        var bytes = Array((connection.said.bytes + [UInt8](repeating: 1, count: 10))[piece])
        // Sent once more with another first byte, or instead of it.
        if random.chance(5), piece.lowerBound == 0 { bytes[0] ^= 0xff }
        connections[number] = connection
        meet(number, connection.client.segment(bytes, at: piece.lowerBound))
    }

    mutating func end() throws {
        let ready = connections.filter { $0.value.isAlive && $0.value.isEstablished }.keys.sorted()
        guard let number = ready.randomElement(using: &random), let connection = connections[number],
            connection.client.destination.transport == .tcp
        else { return }
        connections[number]?.isAlive = false
        meet(number, connection.client.segment([], at: 0, random.chance(50) ? [.fin, .ack] : .rst))
    }

    mutating func greet() throws {
        let ready = connections.filter { $0.value.isAlive && $0.value.isEstablished }.keys.sorted()
        guard let number = ready.randomElement(using: &random), let connection = connections[number],
            connection.client.destination.transport == .tcp
        else { return }
        meet(number, connection.client.greeting(random.chance(70) ? "SSH-2.0-x\r\n" : "220 x\r\n"))
    }

    /// A packet meets the chains; one that was asked about meets them from the start again.
    mutating func meet(_ number: Int, _ packet: WirePacket, mark: UInt32 = 0, rounds: Int = 0) {
        guard var connection = connections[number] else { return }
        let client = connection.client
        var flow = connection.flow
        if packet.source == client.destination.address {
            let isAsked = !packet.payload.isEmpty && flow.mark & 0xff == UInt32(Stamp.State.inspecting.rawValue)
            if isAsked { ask(number, packet, .greeting, mark: 0, rounds) }
            return
        }
        if !flow.isConfirmed { flow.mark = mark }
        let isUDP = client.destination.transport == .udp
        let isBare = packet.payload.isEmpty && packet.flags.isDisjoint(with: [.fin, .rst])
        let met = Packet(flow: number, opensFlow: isUDP || packet.flags.contains(.syn), isReply: false, isBare: isBare)
        let (cgroup, uid) = (client.sender.cgroup, client.sender.uid ?? 0)
        switch kernel.output(&flow, met, cgroup: cgroup, uid: uid, at: now) {
        case .accepted(let how), .logged(_, let how):
            flow.isConfirmed = true
            connection.flow = flow
            connection.isEstablished = true
            connections[number] = connection
            judge(number, packet, how)
        case .refused:
            denied += 1
            if flow.isConfirmed { connections[number]?.flow = flow }
            connections[number]?.isAlive = false
        case .asked(let question):
            if flow.isConfirmed { connections[number]?.flow = flow }
            ask(number, packet, question, mark: flow.mark, rounds)
        case .injected, .vanished: fail("\(client.key) met no rule")
        }
    }

    private mutating func ask(
        _ number: Int,
        _ packet: WirePacket,
        _ kind: Layout.Question,
        mark: UInt32,
        _ rounds: Int,
    ) {
        guard rounds < 64 else { return fail("a packet goes round and round, asking \(kind)") }
        waiting[nextPacket] = Waiting(connection: number, packet: packet, kind: kind, mark: mark, rounds: rounds + 1)
        nextPacket += 1
    }

    /// Hands a packet that waits to the broker: the first of its connection.
    mutating func deliver() throws {
        let ready = waiting.filter { !$0.value.isDelivered }
        guard let picked = ready.keys.sorted().randomElement(using: &random),
            let number = ready.filter({ $0.value.connection == ready[picked]?.connection }).keys.min(),
            let item = waiting[number], let connection = connections[item.connection]
        else { return }
        waiting[number]?.isDelivered = true
        let client = connection.client
        let bytes = item.packet.bytes
        let isUDP = client.destination.transport == .udp
        var question = PacketQuestion(
            kind: item.kind,
            reference: PacketReference(queue: 8100 + item.kind.rawValue, packet: number),
            destination: client.destination,
            otherPort: client.port,
            source: client.local,
            opensFlow: isUDP || item.packet.flags.contains(.syn),
            sender: item.kind == .greeting ? nil : client.sender,
            uid: client.sender.uid,
            arrived: now,
        )
        question.packet = try Wire.Packet(bytes.rawBytes)
        note("\(item.kind) #\(number) of \(client.port)")
        let before = broker.flows[client.key] != nil
        let actions = broker.handle(question, in: bytes.rawBytes, at: now)
        if !isUDP, !before, broker.flows[client.key] != nil || !actions.stamps.isEmpty { begun += 1 }
        perform(actions)
    }
}
