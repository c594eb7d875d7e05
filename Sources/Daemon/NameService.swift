internal import Broker
internal import Model
internal import Netfilter
internal import Policy
internal import Resolver
internal import Ruleset
internal import System
internal import Wire

/// The resolver of the workloads: their questions come in, the broker decides, the resolver finds the answer, and the
/// addresses are pinned before it is released.
///
/// It listens on 127.0.0.1 and ::1 alone, at the port to which the table redirects a workload's port 53. Who asks is what
/// the kernel stamped on the connection.
final class NameService {
    /// Where an answer goes.
    enum Way {
        case datagram(DatagramServer, SocketAddress)
        case stream(Conversation)
        /// Nobody waits: the broker asks ahead.
        case nowhere
    }

    /// Somebody who waits for an answer.
    struct Waiting {
        let way: Way
        let identity: Identity
        let responder: Responder?
    }

    unowned let daemon: Daemon
    var resolver: Resolver
    let servers: [DatagramServer]
    let listeners: [StreamListener]
    let sockets: InternetSockets
    var listening: [Int32: Registration] = [:]
    var helperWatch: Registration?
    var isRelisteningLater = false
    var waiting: [UInt64: Waiting] = [:]
    private var nextToken: UInt64 = 1
    var exchanges: [UInt64: Exchange] = [:]
    var conversations: [ObjectIdentifier: Conversation] = [:]
    private var timer: (token: TimerToken, deadline: Instant)?

    init(_ daemon: Daemon, port: UInt16, upstreams: [Upstream], sockets: InternetSockets) throws(Errno) {
        self.daemon = daemon
        self.sockets = sockets
        resolver = Resolver(upstreams: upstreams, random: SystemRandomNumberGenerator())
        let places = [IPAddress.v4(0x7f00_0001), .v6(1)].map { SocketAddress($0, port: port) }
        var servers: [DatagramServer] = []
        var listeners: [StreamListener] = []
        for place in places {
            servers.append(try DatagramServer(place, from: sockets))
            listeners.append(try StreamListener(place, from: sockets))
        }
        self.servers = servers
        self.listeners = listeners
        try listen()
        try watchHelper()
    }

    /// Has the loop tell of questions.
    func listen() throws(Errno) {
        for server in servers {
            listening[server.descriptor] = try daemon.loop.add(server.descriptor, .read) { [unowned self] _ in
                serve(server)
            }
        }
        for listener in listeners {
            listening[listener.descriptor] = try daemon.loop.add(listener.descriptor, .read) { [unowned self] _ in
                greet(listener)
            }
        }
    }

    // MARK: Questions

    private func serve(_ server: DatagramServer) {
        let now = Clock.now()
        daemon.broker.setClock(wall: Clock.wall(), at: now)
        _ = try? server.receive { bytes, from, mark in
            let way = Way.datagram(server, from)
            guard let identity = mark.map(Self.identity) ?? whoAsks(.udp, server.address, from) else { return }
            take(bytes, identity, way, at: now)
        }
        finishRound()
    }

    static func identity(_ mark: UInt32) -> Identity { Identity(number: UInt16(mark >> 16)) }

    /// Who asks, where the socket does not tell: conntrack knows whose the redirected connection is.
    func whoAsks(_ transport: Transport, _ own: SocketAddress, _ peer: SocketAddress) -> Identity? {
        daemon.connections.find(transport: transport, replyFrom: (own.address, own.port), to: (peer.address, peer.port))
            .map { Self.identity($0.mark) }
    }

    /// Judges one message of a client.
    func take(_ bytes: RawSpan, _ identity: Identity, _ way: Way, at now: Instant) {
        let query: DNSQuery
        do throws(DNSError) {
            query = try DNSQuery(bytes)
        } catch {
            return refuse(unreadable: bytes, error, identity, way, at: now)
        }
        let transport: Responder.Transport = if case .stream = way { .stream } else { .datagram }
        let responder = Responder(query, in: bytes, over: transport)
        guard !responder.hasBadVersion else { return send(responder.refusal(.badVersion), way) }
        let decision = daemon.broker.mayAsk(identity, query.question, at: now)
        if decision.verdict != .allow, !daemon.broker.isRefusedAgain(identity, query.question) {
            let local = facts(way)
            daemon.perform(
                daemon.broker.note(identity, query.question, decision, local: local, at: now),
                flushing: false,
            )
        }
        guard decision.verdict == .allow || decision.verdict == .observe else {
            let why =
                decision.reason == .limit
                ? "too many names below wildcards" : "no rule of the workload allows the name"
            return send(responder.refusal(.refused, .prohibited(why)), way)
        }
        if let answer = resolver.cached(query.question, at: now) {
            return release(answer, Waiting(way: way, identity: identity, responder: responder), query.question, at: now)
        }
        ask(query.question, Waiting(way: way, identity: identity, responder: responder), at: now)
    }

    private func ask(_ question: DNSQuestion, _ who: Waiting, at now: Instant) {
        let token = nextToken
        nextToken += 1
        waiting[token] = who
        let client = Resolver.Client(group: who.identity.number, token: token)
        perform(resolver.ask(question, for: client, at: now), at: now)
    }

    /// Asks for a name on nobody's behalf, so that what it stands for is pinned before it is needed.
    func refresh(_ identity: Identity, _ question: DNSQuestion) {
        ask(question, Waiting(way: .nowhere, identity: identity, responder: nil), at: Clock.now())
        finishRound()
    }

    private func refuse(
        unreadable bytes: RawSpan,
        _ error: DNSError,
        _ identity: Identity,
        _ way: Way,
        at now: Instant,
    ) {
        // What is no question gets no answer: two resolvers must not talk to each other for ever.
        if case .response = error { return }
        let code: DNSResponseCode = if case .opcode = error { .notImplemented } else { .formatError }
        let first = (try? DNSMessage(bytes))?.questions.first
        daemon.perform(
            daemon.broker.noteUnreadable(identity, first, "\(error)", local: facts(way), at: now),
            flushing: false,
        )
        if let refusal = Responder.refusal(ofUnreadable: bytes, code) { send(refusal, way) }
    }

    /// The process that asks, as it is while it waits for its answer.
    private func facts(_ way: Way) -> Facts? {
        switch way {
        case .datagram(let server, let from): daemon.asker(.udp, server.address, from)
        case .stream(let conversation): daemon.asker(.tcp, conversation.own, conversation.peer)
        case .nowhere: nil
        }
    }

    // MARK: Answers

    /// Pins what an answer holds, and then lets it go.
    private func release(_ answer: Answer, _ who: Waiting, _ question: DNSQuestion, at now: Instant) {
        let (withheld, actions) = daemon.broker.release(
            who.identity,
            question,
            answer.addresses + (question.type == .https || question.type == .svcb ? answer.hints : []),
            mapped: answer.mappedAddresses,
            timeToLive: answer.timeToLive,
            at: now,
        )
        if !actions.isEmpty {
            daemon.perform(actions, flushing: false)
            daemon.applyPending()
        }
        guard let responder = who.responder else { return }
        let given = withheld.isEmpty ? answer : answer.without(withheld, for: question)
        switch who.way {
        case .datagram(let server, let to): server.answer(to: to) { responder.append(given, to: &$0) }
        case .stream: send(responder.response(given), who.way)
        case .nowhere: break
        }
    }

    private func send(_ bytes: [UInt8], _ way: Way) {
        switch way {
        case .datagram(let server, let to): server.answer(to: to) { $0 += bytes }
        case .stream(let conversation): conversation.send(bytes)
        case .nowhere: break
        }
    }

    /// Sends what was gathered, once everything it depends on is in force.
    func finishRound() {
        daemon.flush()
        for server in servers { server.flush() }
        daemon.scheduleTick()
        schedule()
    }

    // MARK: The resolver

    /// Performs what the resolver wants done.
    func perform(_ actions: [ResolverAction], at now: Instant) {
        var failed: [UInt64] = []
        for action in actions {
            switch action {
            case .send(let exchange, let upstream, let bytes):
                if !send(bytes, to: upstream, exchange) { failed.append(exchange) }
            case .connect(let exchange, let upstream):
                if !connect(to: upstream, exchange) { failed.append(exchange) }
            case .write(let exchange, let bytes):
                if !write(bytes, exchange) { failed.append(exchange) }
            case .close(let exchange):
                close(exchange)
            case .answer(let client, let question, let answer):
                guard let who = waiting.removeValue(forKey: client.token) else { continue }
                release(answer, who, question, at: now)
            }
        }
        for exchange in failed { perform(resolver.failed(exchange: exchange, at: now), at: now) }
    }

    /// Uses these name servers from now on.
    func setUpstreams(_ upstreams: [Upstream]) {
        let now = Clock.now()
        perform(resolver.setUpstreams(upstreams, at: now), at: now)
        finishRound()
    }

    /// Has the resolver look at the clock when something of it is due.
    private func schedule() {
        guard let deadline = resolver.nextDeadline else { return }
        if let timer, timer.deadline <= deadline { return }
        if let timer { daemon.loop.cancel(timer.token) }
        let token = daemon.loop.schedule(at: deadline) { [unowned self] in
            timer = nil
            let now = Clock.now()
            perform(resolver.tick(at: now), at: now)
            finishRound()
        }
        timer = (token, deadline)
    }
}
