internal import Broker
internal import Model
internal import Resolver
internal import System
internal import Wire

extension NameService {
    /// A socket to an upstream that one question has for itself.
    enum Exchange {
        case datagram(DatagramClient, Registration)
        case stream(StreamClient, Registration)
    }

    /// Sends a question; false when no socket can be had for it.
    func send(_ bytes: [UInt8], to upstream: Upstream, _ exchange: UInt64) -> Bool {
        do throws(Errno) {
            let client = try DatagramClient(to: SocketAddress(upstream.address, port: upstream.port), from: sockets)
            try client.send(bytes)
            let registration = try daemon.loop.add(client.descriptor, .read) { [unowned self] _ in
                receive(client, from: upstream, exchange)
            }
            exchanges[exchange] = .datagram(client, registration)
            return true
        } catch {
            return false
        }
    }

    private func receive(_ client: DatagramClient, from upstream: Upstream, _ exchange: UInt64) {
        let now = Clock.now()
        daemon.broker.setClock(wall: Clock.wall(), at: now)
        do throws(Errno) {
            // A few only: an upstream that sends without end must not keep the loop.
            for _ in 0..<8 {
                guard exchanges[exchange] != nil, let bytes = try client.receive() else { break }
                let actions = resolver.received(
                    bytes.rawBytes,
                    exchange: exchange,
                    from: upstream.address,
                    port: upstream.port,
                    at: now,
                )
                perform(actions, at: now)
            }
        } catch {
            perform(resolver.failed(exchange: exchange, at: now), at: now)
        }
        finishRound()
    }

    /// Opens a TCP connection; false when that cannot be begun.
    func connect(to upstream: Upstream, _ exchange: UInt64) -> Bool {
        do throws(Errno) {
            let client = try StreamClient(
                to: SocketAddress(upstream.address, port: upstream.port),
                from: sockets,
            )
            var isConnected = false
            let registration = try daemon.loop.add(client.connection.descriptor, [.read, .write]) {
                [unowned self] _ in
                let now = Clock.now()
                daemon.broker.setClock(wall: Clock.wall(), at: now)
                perform(advance(client, &isConnected, exchange, at: now), at: now)
                if case .stream(_, let registration) = exchanges[exchange] {
                    try? daemon.loop.change(
                        registration,
                        to: isConnected ? client.connection.interest : [.read, .write]
                    )
                }
                finishRound()
            }
            exchanges[exchange] = .stream(client, registration)
            return true
        } catch {
            return false
        }
    }

    /// What the resolver makes of a connection that is ready for something.
    private func advance(
        _ client: StreamClient,
        _ isConnected: inout Bool,
        _ exchange: UInt64,
        at now: Instant,
    ) -> [ResolverAction] {
        do throws(Errno) {
            if !isConnected {
                guard try client.finishConnect() else { return [] }
                isConnected = true
                return resolver.connected(exchange: exchange, at: now)
            }
            _ = try client.connection.flush()
            var bytes: [UInt8] = []
            guard let count = try client.connection.read(into: &bytes) else { return [] }
            return count == 0
                ? resolver.failed(exchange: exchange, at: now)
                : resolver.receivedStream(bytes.rawBytes, exchange: exchange, at: now)
        } catch {
            return resolver.failed(exchange: exchange, at: now)
        }
    }

    /// Writes to an open connection; false when it is gone.
    func write(_ bytes: [UInt8], _ exchange: UInt64) -> Bool {
        guard case .stream(let client, let registration) = exchanges[exchange],
            (try? client.connection.write(bytes)) == true
        else { return false }
        try? daemon.loop.change(registration, to: client.connection.interest)
        return true
    }

    func close(_ exchange: UInt64) {
        switch exchanges.removeValue(forKey: exchange) {
        case .datagram(_, let registration): daemon.loop.remove(registration)
        case .stream(let client, let registration):
            daemon.loop.remove(registration)
            client.connection.close()
        case nil: break
        }
    }
}
