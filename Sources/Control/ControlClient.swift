package import Model
import System

/// A client of the control socket that waits for its answers.
package final class ControlClient {
    private let path: String
    private let socket: FileDescriptor
    private var input: [UInt8] = []
    private var scanned = 0
    private var isSpoilt = false

    /// The longest reply that is read.
    private static let replyLimit = 64 << 20

    /// Connects; `unreachable` when nobody answers there, `notPermitted` when the socket may not be opened.
    package init(path: String) throws(ControlError) {
        self.path = path
        do {
            socket = try UnixSocket.connect(to: path)
        } catch {
            switch error {
            case .accessDenied, .notPermitted: throw ControlError.notPermitted(reason: "\(path): \(error)")
            case .notFound: throw ControlError.unreachable(path: path, reason: "there is no such socket")
            case .connectionRefused: throw ControlError.unreachable(path: path, reason: "nobody listens there")
            default: throw ControlError.unreachable(path: path, reason: "\(error)")
            }
        }
    }

    /// Calls a method and returns the parameters of its reply.
    ///
    /// A method without a dot is one of `io.egressd`. Gives up after `timeout` milliseconds; 0 waits for ever.
    package func call(
        _ method: String,
        _ parameters: JSON = .object([]),
        timeout: Int64 = 30_000,
    ) throws(ControlError) -> JSON {
        try send(method, parameters, more: false, timeout: timeout)
        // Without an output to watch there is always one.
        return try reply(whileRead: nil)?.parameters ?? .null
    }

    /// Calls a method that replies several times, until its last reply or until `each` returns false.
    ///
    /// Gives up when one reply takes longer than `timeout` milliseconds; 0 waits for ever. With `output`, ends as well when
    /// nobody reads any more what is written there. After either, and when `each` ended it, the client is of no further use.
    package func callMore(
        _ method: String,
        _ parameters: JSON = .object([]),
        timeout: Int64 = 30_000,
        whileRead output: Int32? = nil,
        _ each: (JSON) -> Bool,
    ) throws(ControlError) {
        try send(method, parameters, more: true, timeout: timeout)
        while true {
            guard let reply = try reply(whileRead: output) else { return }
            guard each(reply.parameters) else {
                isSpoilt = reply.continues
                return
            }
            guard reply.continues else { return }
        }
    }

    private func send(_ method: String, _ parameters: JSON, more: Bool, timeout: Int64) throws(ControlError) {
        precondition(!isSpoilt, "a call that was left in the middle still has replies under way")
        let name = method.contains(".") ? method : "\(ControlInterface.name).\(method)"
        var members: [(key: String, value: JSON)] = [
            (key: "method", value: .string(name)), (key: "parameters", value: parameters),
        ]
        if more { members.append((key: "more", value: true)) }
        var bytes: [UInt8] = []
        JSON.object(members).write(into: &bytes)
        bytes.append(0)
        var sent = 0
        do throws(Errno) {
            try UnixSocket.setReceiveTimeout(on: socket.rawValue, milliseconds: timeout)
            while sent < bytes.count { sent += try UnixSocket.send(on: socket.rawValue, bytes, from: sent) ?? 0 }
        } catch {
            throw ControlError.unreachable(path: path, reason: "\(error)")
        }
    }

    /// The next reply; nil when nobody reads the output any more.
    private func reply(whileRead output: Int32?) throws(ControlError) -> (parameters: JSON, continues: Bool)? {
        guard let message = try nextMessage(whileRead: output) else { return nil }
        let json: JSON
        do {
            json = try JSON.parse(message, limit: Self.replyLimit)
        } catch {
            throw ControlError.malformed(reason: "\(error)")
        }
        guard json.object != nil else { throw ControlError.malformed(reason: "a reply is no object") }
        let parameters = json["parameters"] ?? .null
        if let name = json["error"]?.string {
            if name == ControlFailure.permissionDenied(reason: "").name {
                throw ControlError.notPermitted(reason: parameters["reason"]?.string ?? name)
            }
            throw ControlError.failed(name: name, parameters: parameters)
        }
        return (parameters.isNull ? .object([]) : parameters, json["continues"]?.bool ?? false)
    }

    private func nextMessage(whileRead output: Int32?) throws(ControlError) -> [UInt8]? {
        while true {
            if let end = input[scanned...].firstIndex(of: 0) {
                let message = Array(input[..<end])
                input.removeSubrange(...end)
                scanned = 0
                return message
            }
            scanned = input.count
            guard input.count <= Self.replyLimit else { throw ControlError.malformed(reason: "a reply has no end") }
            do throws(Errno) {
                if let output, try !UnixSocket.awaitInput(on: socket.rawValue, whileRead: output) {
                    isSpoilt = true
                    return nil
                }
                guard let count = try UnixSocket.receive(on: socket.rawValue, into: &input) else {
                    isSpoilt = true
                    throw Errno.timedOut
                }
                guard count > 0 else { throw Errno.brokenPipe }
            } catch {
                let reason =
                    switch error {
                    case .timedOut: "it does not answer"
                    case .brokenPipe: "it closed the connection before it had answered"
                    default: "\(error)"
                    }
                throw ControlError.unreachable(path: path, reason: reason)
            }
        }
    }
}
