import Model
import System

/// One client: its messages in, its replies out.
///
/// Varlink (https://varlink.org) over a stream: each message is a JSON object that ends in a NUL. Replies come in the
/// order of the calls, so the next call waits until this one is answered; meanwhile at most one message's worth of
/// bytes is read.
final class ControlConnection {
    /// The longest message.
    static let messageLimit = 1 << 20
    /// How much may wait for a client to read it.
    static let pendingLimit = 4 << 20

    let peer: Peer
    private let socket: FileDescriptor
    private let loop: EventLoop
    /// Gone while the server closes its clients at its own end.
    private weak var server: ControlServer?
    private var registration: Registration?
    private var interest: Interest = .read
    private var input: [UInt8] = []
    private var scanned = 0
    private var output: [UInt8] = []
    private var sent = 0
    private var inputEnded = false
    private var isWorking = false
    private(set) var current: ControlCall?
    /// When the last call was read, in the order of all that the server did.
    private(set) var lastUse: UInt64

    init(_ socket: consuming FileDescriptor, peer: Peer, loop: EventLoop, server: ControlServer) throws(Errno) {
        self.socket = socket
        self.peer = peer
        self.loop = loop
        self.server = server
        lastUse = server.tick()
        registration = try loop.add(self.socket.rawValue, .read) { [weak self] in self?.ready($0) }
    }

    var isOpen: Bool { registration != nil }
    var pendingBytes: Int { output.count - sent }

    private func ready(_ readiness: Readiness) {
        if readiness.contains(.write) { flush() }
        if readiness.contains(.write), pendingBytes == 0 { current?.replyPart() }
        guard isOpen, !readiness.isDisjoint(with: [.read, .hangUp, .error]) else { return }
        receive(isHangUp: !readiness.isDisjoint(with: [.hangUp, .error]))
    }

    // ---- In

    private func receive(isHangUp: Bool) {
        while !inputEnded, input.count <= Self.messageLimit {
            do throws(Errno) {
                guard let count = try UnixSocket.receive(on: socket.rawValue, into: &input) else { break }
                if count == 0 { inputEnded = true }
            } catch {
                return close()
            }
            // One client must not keep the loop: what is left is told again.
            if !isHangUp { break }
        }
        work()
        // Both directions are gone: what a one-way call asked for was heard above, an answer would reach nobody.
        if isHangUp, isOpen, inputEnded || input.count > Self.messageLimit { close() }
    }

    /// Hands out the calls that have come, as far as each is answered at once.
    private func work() {
        guard !isWorking else { return }
        isWorking = true
        defer { isWorking = false }
        var budget = 64
        while isOpen, current == nil, budget > 0, let message = nextMessage() {
            budget -= 1
            guard let call = call(in: message) else { return close() }
            current = call
            server?.handle(call)
        }
        guard isOpen else { return }
        if current == nil, budget == 0 {
            loop.defer { [weak self] in self?.work() }
        } else if current == nil, scanned > Self.messageLimit || (inputEnded && pendingBytes == 0) {
            // Too long a message; or all is answered and nothing more will come.
            return close()
        }
        update()
    }

    private func nextMessage() -> [UInt8]? {
        guard let end = input[scanned...].firstIndex(of: 0) else {
            scanned = input.count
            return nil
        }
        return take(until: end)
    }

    private func take(until end: Int) -> [UInt8] {
        let message = Array(input[..<end])
        input.removeSubrange(...end)
        scanned = 0
        return message
    }

    /// The call in a message; nil when it is none.
    private func call(in message: [UInt8]) -> ControlCall? {
        guard message.count <= Self.messageLimit, let json = try? JSON.parse(message),
            let method = json["method"]?.string
        else { return nil }
        let parameters = json["parameters"] ?? .null
        guard parameters.isNull || parameters.object != nil else { return nil }
        lastUse = server?.tick() ?? 0
        return ControlCall(
            qualifiedMethod: method,
            parameters: parameters.isNull ? .object([]) : parameters,
            wantsMore: json["more"]?.bool ?? false,
            isOneWay: json["oneway"]?.bool ?? false,
            connection: self,
        )
    }

    // ---- Out

    /// Sends a message, as far as the client reads; the rest waits.
    ///
    /// False when the client is gone or too slow.
    @discardableResult
    func send(_ message: JSON) -> Bool {
        guard isOpen else { return false }
        message.write(into: &output)
        output.append(0)
        flush()
        guard isOpen else { return false }
        guard pendingBytes <= Self.pendingLimit else {
            close()
            return false
        }
        return true
    }

    /// The current call was answered.
    func finished(_ call: ControlCall) {
        guard current === call else { return }
        current = nil
        guard isOpen else { return }
        // The next call may be handed out at once, but not from within the handler that answered this one.
        if !isWorking { loop.defer { [weak self] in self?.work() } }
    }

    private func flush() {
        while sent < output.count {
            do throws(Errno) {
                guard let count = try UnixSocket.send(on: socket.rawValue, output, from: sent) else { break }
                sent += count
            } catch {
                return close()
            }
        }
        if sent == output.count {
            output.removeAll(keepingCapacity: output.capacity <= 65536)
            sent = 0
            if inputEnded, current == nil, !isWorking { return work() }
        } else if sent > 1 << 18 {
            output.removeFirst(sent)
            sent = 0
        }
        update()
    }

    private func update() {
        guard let registration else { return }
        var wanted: Interest = []
        if !inputEnded, input.count <= Self.messageLimit { wanted.insert(.read) }
        if sent < output.count || current?.hasParts == true { wanted.insert(.write) }
        guard wanted != interest else { return }
        interest = wanted
        do { try loop.change(registration, to: wanted) } catch { close() }
    }

    func close() {
        guard let registration else { return }
        self.registration = nil
        loop.remove(registration)
        // Later: the owner of the call may be walking through its followers right now.
        if let handler = current?.lost() { loop.defer(handler) }
        current = nil
        server?.closed(self)
    }
}
