package import Model
package import System

/// A call of a client, until it is answered.
///
/// It may be kept and answered later, from the loop's thread: the calls of one client are handed out one at a time, so
/// a call that is never answered only holds up its own client. Once answered, or once the client is gone, nothing more
/// is sent.
package final class ControlCall {
    /// The interface: `io.egressd`.
    package let interface: String
    /// The method without its interface: `Status`.
    package let method: String
    /// The parameters, an object.
    package let parameters: JSON
    /// Whether the client takes several replies.
    package let wantsMore: Bool
    /// Whether the client takes no reply at all; answering is still how a call ends.
    package let isOneWay: Bool
    /// Who calls.
    package let peer: Peer
    /// The cgroup of the caller when the call was read; nil when it cannot be told, and then the call must be refused.
    package let cgroup: String?

    private weak var connection: ControlConnection?
    /// The part of an answer to send next, and what makes those after it.
    private var parts: (first: JSON, next: () -> JSON?)?

    init(
        qualifiedMethod: String,
        parameters: JSON,
        wantsMore: Bool,
        isOneWay: Bool,
        connection: ControlConnection,
    ) {
        let dot = qualifiedMethod.lastIndex(of: ".")
        interface = dot.map { String(qualifiedMethod[..<$0]) } ?? ""
        method = dot.map { String(qualifiedMethod[qualifiedMethod.index(after: $0)...]) } ?? qualifiedMethod
        self.parameters = parameters
        self.wantsMore = wantsMore
        self.isOneWay = isOneWay
        self.peer = connection.peer
        self.cgroup = connection.peer.cgroup()
        self.connection = connection
    }

    /// Whether the call was neither answered nor lost its client.
    package var isOpen: Bool { connection != nil }

    /// What to do when the client goes before the call is answered; called once, in a later part of the loop's round.
    package var onClose: (() -> Void)?

    /// Answers the call, or ends its replies.
    package func reply(_ parameters: JSON = .object([])) {
        finish(with: .object([(key: "parameters", value: parameters)]))
    }

    /// Sends one of several replies.
    ///
    /// False when that is of no use any more: the client is gone, too slow, or did not ask for several.
    @discardableResult
    package func replyContinues(_ parameters: JSON) -> Bool {
        guard wantsMore, let connection else { return false }
        if isOneWay { return true }
        return connection.send(.object([(key: "parameters", value: parameters), (key: "continues", value: true)]))
    }

    /// Answers with several replies, one in a round of the loop, and each once the client has read those before.
    ///
    /// For answers that are longer than what may wait for a client. `next` makes a part, and gives nil after the last. A
    /// client that takes one reply only gets the first.
    package func reply(inParts next: @escaping () -> JSON?) {
        guard let first = next() else { return reply() }
        guard wantsMore, !isOneWay else { return reply(first) }
        parts = (first, next)
        replyPart()
    }

    /// Whether parts of the answer are still to be sent.
    var hasParts: Bool { parts != nil }

    /// Sends the next part of the answer, if there is one.
    func replyPart() {
        guard let (part, next) = parts else { return }
        parts = next().map { ($0, next) }
        if parts == nil { reply(part) } else { replyContinues(part) }
    }

    /// Answers with an error by its qualified name.
    package func fail(error name: String, parameters: JSON = .object([])) {
        finish(with: .object([(key: "error", value: .string(name)), (key: "parameters", value: parameters)]))
    }

    /// Answers with one of the errors of the interface.
    package func fail(_ failure: ControlFailure) { fail(error: failure.name, parameters: failure.parameters) }

    /// How many bytes wait for the client to read them: a follower may be sent less often when this grows.
    package var pendingBytes: Int { connection?.pendingBytes ?? 0 }

    private func finish(with message: JSON) {
        guard let connection else { return }
        self.connection = nil
        parts = nil
        onClose = nil
        if !isOneWay { connection.send(message) }
        connection.finished(self)
    }

    /// The client is gone.
    func lost() -> (() -> Void)? {
        connection = nil
        parts = nil
        defer { onClose = nil }
        return onClose
    }
}
