internal import Broker
internal import Model
internal import Resolver
internal import Ruleset
internal import System
internal import Wire

/// A workload's TCP connection to the resolver (RFC 7766): questions one after the other, answers as they come.
final class Conversation {
    let connection: StreamConnection
    /// This end: one of the resolver's addresses.
    let own: SocketAddress
    let identity: Identity
    var registration: Registration?
    /// What came and is not a whole message yet.
    var received: [UInt8] = []
    var lastUse: Instant
    /// It cannot be written to any more.
    private(set) var isBroken = false
    private let update: (Conversation) -> Void

    var peer: SocketAddress { connection.peer }

    init(
        _ connection: StreamConnection,
        to own: SocketAddress,
        _ identity: Identity,
        at now: Instant,
        update: @escaping (Conversation) -> Void,
    ) {
        self.connection = connection
        self.own = own
        self.identity = identity
        self.lastUse = now
        self.update = update
    }

    /// Sends one message, its length in front.
    func send(_ bytes: [UInt8]) {
        guard let length = UInt16(exactly: bytes.count), connection.descriptor >= 0 else { return }
        // Who does not read what it asked for is not waited for.
        if (try? connection.write([UInt8(length >> 8), UInt8(length & 255)] + bytes)) != true { isBroken = true }
        update(self)
    }

    /// The next whole message of what came.
    func next() -> [UInt8]? {
        guard received.count >= 2 else { return nil }
        let length = Int(received[0]) << 8 | Int(received[1])
        guard received.count >= 2 + length else { return nil }
        defer { received.removeFirst(2 + length) }
        return Array(received[2..<2 + length])
    }
}

extension NameService {
    /// At most this many connections of all workloads, and of one.
    private static let conversationLimit = 512
    private static let conversationsEach = 64
    /// A connection that asks nothing is closed after this.
    private static let idle = Instant.Span.seconds(10)

    /// Takes connections up.
    func greet(_ listener: StreamListener) {
        let now = Clock.now()
        closeIdle(at: now)
        for _ in 0..<64 {
            guard let accepted = accept(from: listener) else { break }
            guard let identity = whoAsks(.tcp, listener.address, accepted.peer), identity.isWorkload,
                conversations.count < Self.conversationLimit,
                conversations.values.count(where: { $0.identity == identity }) < Self.conversationsEach
            else {
                accepted.close()
                continue
            }
            let conversation = Conversation(accepted, to: listener.address, identity, at: now) { [unowned self] in
                update($0)
            }
            let registration = try? daemon.loop.add(accepted.descriptor, .read) {
                [unowned self, unowned conversation] _ in
                converse(conversation)
            }
            guard let registration else {
                accepted.close()
                continue
            }
            conversation.registration = registration
            conversations[ObjectIdentifier(conversation)] = conversation
        }
        daemon.loop.schedule(after: Self.idle) { [unowned self] in closeIdle(at: Clock.now()) }
    }

    /// The next connection; without descriptors nobody is taken up for a moment, so that the loop does not spin.
    private func accept(from listener: StreamListener) -> StreamConnection? {
        do throws(Errno) {
            return try listener.accept()
        } catch {
            if let registration = listening[listener.descriptor] {
                try? daemon.loop.pause(registration, for: .milliseconds(100))
            }
            return nil
        }
    }

    private func converse(_ conversation: Conversation) {
        let now = Clock.now()
        daemon.broker.setClock(wall: Clock.wall(), at: now)
        do throws(Errno) {
            _ = try conversation.connection.flush()
            switch try conversation.connection.read(into: &conversation.received) {
            case 0: return end(conversation)
            case nil: return update(conversation)
            default: conversation.lastUse = now
            }
        } catch {
            return end(conversation)
        }
        while let message = conversation.next() {
            take(message.rawBytes, conversation.identity, .stream(conversation), at: now)
        }
        finishRound()
        update(conversation)
    }

    /// Waits for what the connection can do next.
    private func update(_ conversation: Conversation) {
        guard !conversation.isBroken else { return end(conversation) }
        guard let registration = conversation.registration else { return }
        try? daemon.loop.change(registration, to: conversation.connection.interest)
    }

    private func end(_ conversation: Conversation) {
        if let registration = conversation.registration { daemon.loop.remove(registration) }
        conversation.registration = nil
        conversation.connection.close()
        conversations[ObjectIdentifier(conversation)] = nil
    }

    private func closeIdle(at now: Instant) {
        for conversation in conversations.values where now - conversation.lastUse >= Self.idle { end(conversation) }
    }
}
