import Model
import Policy
import Ruleset
import Testing
import Wire

@testable import Broker

/// A client's socket, and the packets that pass between it and its server.
struct Client {
    let destination: Destination
    var port: UInt16 = 40_000
    /// The sequence number of its SYN.
    var initial: UInt32 = .max - 2
    var sender = Scenario.facts("/train")

    init(_ destination: Destination, port: UInt16 = 40_000) {
        self.destination = destination
        self.port = port
    }

    init(_ address: String, _ port: UInt16 = 443, _ transport: Transport = .tcp) throws {
        self.init(try Scenario.destination(address, port, transport))
    }

    var local: IPAddress { destination.address.isV4 ? .v4(0x0a00_0005) : .v6(0xfd00 << 112 | 5) }
    var key: FlowKey { FlowKey(local: local, localPort: port, destination: destination) }

    /// What opens the connection, with or without data.
    func syn(_ payload: [UInt8] = []) -> WirePacket { packet(initial, .syn, payload) }

    /// A segment with what lies at this place of the stream.
    func segment(_ payload: some Sequence<UInt8>, at offset: Int = 0, _ flags: TCPFlags = .ack) -> WirePacket {
        packet(initial &+ 1 &+ UInt32(offset), flags, Array(payload))
    }

    func segment(_ text: String) -> WirePacket { segment(text.utf8) }

    func datagram(_ payload: [UInt8]) -> WirePacket { packet(0, [], payload) }

    /// What the server says, from this place of its stream on.
    func greeting(_ text: String, at offset: Int = 0) -> WirePacket {
        WirePacket(
            source: destination.address,
            sourcePort: destination.port,
            destination: local,
            destinationPort: port,
            sequence: 700 + UInt32(offset),
            flags: .ack,
            payload: Array(text.utf8),
        )
    }

    private func packet(_ sequence: UInt32, _ flags: TCPFlags, _ payload: [UInt8]) -> WirePacket {
        WirePacket(
            source: local,
            sourcePort: port,
            destination: destination.address,
            destinationPort: destination.port,
            transport: destination.transport,
            sequence: sequence,
            flags: flags,
            payload: payload,
        )
    }
}

extension Scenario {
    /// Asks about a packet of a client or its server, as the kernel would.
    mutating func send(_ packet: WirePacket, of client: Client) throws -> [BrokerAction] {
        let bytes = packet.bytes
        let read = try Wire.Packet(bytes.rawBytes)
        let opens = client.destination.transport == .udp || packet.flags.contains(.syn)
        let isServers = packet.source == client.destination.address
        return broker.handle(
            question(about: read, of: client, isServers ? .greeting : opens ? .outbound : .flight, opens: opens),
            in: bytes.rawBytes,
            at: now,
        )
    }

    private mutating func question(
        about packet: Wire.Packet,
        of client: Client,
        _ kind: Layout.Question,
        opens: Bool,
    ) -> PacketQuestion {
        var question = PacketQuestion(
            kind: kind,
            reference: nextReference(kind),
            destination: client.destination,
            otherPort: client.port,
            source: client.local,
            opensFlow: opens,
            sender: kind == .outbound || broker.flows[client.key] == nil ? client.sender : nil,
            uid: client.sender.uid,
            arrived: now,
        )
        question.packet = packet
        return question
    }

    /// Lets a client connect and say this.
    mutating func say(_ bytes: [UInt8], of client: Client) throws -> [BrokerAction] {
        _ = try send(client.syn(), of: client)
        return try send(client.segment(bytes), of: client)
    }

    mutating func say(_ text: String, of client: Client) throws -> [BrokerAction] {
        try say(Array(text.utf8), of: client)
    }

    /// Answers `expire` as the daemon does: every connection is open still, or none is.
    mutating func expire(_ actions: [BrokerAction], wasOpen: Bool) -> [BrokerAction] {
        actions.flatMap { action -> [BrokerAction] in
            guard case .expire(let key, _) = action else { return [action] }
            return broker.expired(key, wasOpen: wasOpen, at: now)
        }
    }
}

extension [BrokerAction] {
    /// The stamps that connections get.
    var stamps: [Stamp.State] { compactMap { if case .stamp(_, let stamp, _) = $0 { stamp.state } else { nil } } }
    var destroyed: [FlowKey] { compactMap { if case .destroy(let key, _) = $0 { key } else { nil } } }
    var expiring: [FlowKey] { compactMap { if case .expire(let key, _) = $0 { key } else { nil } } }
    var changesAfter: [ElementChange] {
        flatMap { action -> [ElementChange] in if case .changeAfter(let changes) = action { changes } else { [] } }
    }
    /// The packets that are answered, in the order of their answers.
    var references: [UInt32] {
        compactMap { if case .answer(let reference, _) = $0 { reference.packet } else { nil } }
    }
}
