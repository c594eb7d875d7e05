internal import Broker
internal import Glibc
internal import Model
internal import Netfilter
internal import Policy
internal import Record
internal import Ruleset
internal import System
internal import Wire

extension Daemon {
    /// How many lines of the kernel's log are read in one go.
    private static let round = 64

    /// After this long everything else has its turn.
    private static let longestTurn = Instant.Span.milliseconds(2)

    /// Answers the kernel's questions; while they come one on the heels of the other, without the loop in between.
    func readQueues() {
        let begin = Clock.now()
        var (now, last) = (begin, begin)
        repeat {
            if answerQuestions(at: now) { last = Clock.now() }
            now = Clock.now()
        } while loop.isBusy && now - last < loop.linger && now - begin < Self.longestTurn
        scheduleTick()
    }

    /// Reads the kernel's questions, has each judged, and sends the answers; whether there were any.
    private func answerQuestions(at arrived: Instant) -> Bool {
        var count = 0
        broker.setClock(wall: Clock.wall(), at: arrived)
        do {
            count = try queues.read { message, bytes in
                let reference = PacketReference(queue: message.queue, packet: message.packetID)
                guard let packet = try? Packet(bytes.extracting(message.payload)), packet.fragment == .whole else {
                    // The kernel put fragments together before; what is none of the known shapes goes nowhere.
                    queues.answer(reference.queue, reference.packet, .drop)
                    recordUnreadable(message)
                    return
                }
                let payload = bytes.extracting(message.payload)
                let question = question(reference, message, packet, payload, arrived: arrived)
                if question.kind == .sender || question.kind == .unmarked, question.sender == nil,
                    learnCgroups(of: message.uid)
                {
                    queues.answer(reference.queue, reference.packet, .again)
                    return
                }
                let actions = broker.handle(question, in: payload, at: Clock.now())
                foretellBeginning(question)
                perform(actions, flushing: false)
            }
        } catch {
            noteOverload(.queues, error)
        }
        flush()
        return count > 0
    }

    /// Reads what the kernel settled alone.
    func readLog() {
        let now = Clock.now()
        broker.setClock(wall: Clock.wall(), at: now)
        do {
            try log.read(limit: Self.round) { message, bytes in
                guard let packet = try? Packet(bytes.extracting(message.payload)) else { return }
                perform(broker.handle(logged(message, packet, bytes), at: now), flushing: false)
            }
        } catch {
            noteOverload(.log, error)
        }
        flush()
        scheduleTick()
    }

    private func question(
        _ reference: PacketReference,
        _ message: QueueMessage,
        _ packet: Packet,
        _ bytes: RawSpan,
        arrived: Instant,
    ) -> PacketQuestion {
        let kind = layout.question(ofQueue: message.queue)
        let isInbound = kind == .inbound || kind == .receiver
        // A server's packet comes the other way round on a connection of this host's.
        let isGreeting = kind == .greeting
        let destination = Destination(
            address: isInbound || isGreeting ? packet.source : packet.destination,
            port: isGreeting ? packet.sourcePort : packet.destinationPort,
            transport: packet.transport,
        )
        var question = PacketQuestion(
            kind: kind,
            reference: reference,
            destination: destination,
            otherPort: isGreeting ? packet.destinationPort : packet.sourcePort,
            source: isGreeting ? packet.destination : packet.source,
            opensFlow: packet.opensFlow,
            uid: message.uid,
            arrived: arrived,
        )
        question.packet = packet
        if kind == .outbound, packet.transport == .udp, packet.destinationPort == 53 {
            question.name = askedName(bytes, packet)
        }
        let (uid, device) = (message.uid, message.device)
        switch kind {
        case .forward, .greeting: break
        case .flight where broker.awaits(question): break
        case .sender:
            question.sender = sender(of: packet, uid: uid, device: device, withProcess: false, mayGuess: false)
        case .outbound:
            question.sender = sender(of: packet, uid: uid, device: device, withProcess: true, mayBeBraked: true)
        case .unmarked, .reply, .flight:
            question.sender = sender(of: packet, uid: uid, device: device, withProcess: true)
        case .loopback:
            question.sender = sender(of: packet, uid: nil, device: device, withProcess: true)
            question.receiver = receiver(of: packet, device: device, withProcess: false)
        case .receiver: question.receiver = receiver(of: packet, device: device, withProcess: false)
        case .inbound: question.receiver = receiver(of: packet, device: device, withProcess: true)
        }
        return question
    }

    /// Whether the rule that tells of it is the one for requests on their way out past the redirection.
    private func isStray(_ message: LogMessage, _ bytes: RawSpan) -> Bool {
        let prefix = bytes.extracting(message.prefix)
        return Layout.strayed.utf8.enumerated().allSatisfy { prefix.byte(at: $0) == $1 }
    }

    /// The name that a packet to a name server asks for; nil when it is no question.
    private func askedName(_ bytes: RawSpan, _ packet: Packet) -> DomainName? {
        do {
            return try DNSQuery(bytes.extracting(packet.payload)).question.name.domain
        } catch {
            return nil
        }
    }

    private func logged(_ message: LogMessage, _ packet: Packet, _ bytes: RawSpan) -> LoggedPacket {
        let kind: LoggedPacket.Kind
        switch (message.group, message.hook) {
        case (layout.refusedGroup, _): kind = isStray(message, bytes) ? .strayed : .injected
        // NF_INET_LOCAL_IN; from loopback it is the sender that was let out.
        case (_, 1) where message.inputInterface != 1: kind = .inbound
        default: kind = .allowed
        }
        let local: Facts? =
            switch kind {
            case .injected: nil
            case .inbound: receiver(of: packet, device: message.device, withProcess: true)
            case .allowed, .strayed: sender(of: packet, uid: message.uid, device: message.device, withProcess: true)
            }
        return LoggedPacket(
            kind: kind,
            destination: Destination(
                address: kind == .inbound ? packet.source : packet.destination,
                port: packet.destinationPort,
                transport: packet.transport,
            ),
            source: packet.source,
            opensFlow: packet.opensFlow,
            local: local,
        )
    }

    private func recordUnreadable(_ message: QueueMessage) {
        var event = Event(time: Clock.wall(), kind: .request)
        event.verdict = .deny
        event.reason = .wrongProtocol
        event.process = message.uid.map { ProcessRecord(uid: $0) }
        event.message = "a packet that could not be read"
        foretell([
            AheadFile.Line(event: event, packet: AheadFile.Packet(queue: message.queue, number: message.packetID))
        ])
        append(event)
    }
}

extension Packet {
    /// Whether a flow begins with it: a SYN, or any packet of a transport that has none.
    fileprivate var opensFlow: Bool {
        guard transport == .tcp, let flags = tcpFlags else { return true }
        return flags.contains(.syn) && !flags.contains(.ack)
    }
}
