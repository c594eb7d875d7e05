package import Model

/// Why a call on the control socket came to nothing, or why there is no socket.
package enum ControlError: Error, Hashable, Sendable {
    /// Nobody answers at the socket, or not any more.
    case unreachable(path: String, reason: String)
    /// The caller may not do that.
    case notPermitted(reason: String)
    /// The daemon answered with another error, by its Varlink name.
    case failed(name: String, parameters: JSON)
    /// What came was no Varlink.
    case malformed(reason: String)
    /// The server cannot listen at the path.
    case cannotListen(path: String, reason: String)
}

extension ControlError: CustomStringConvertible {
    /// One sentence for a person.
    package var description: String {
        switch self {
        case .unreachable(let path, let reason): "egressd cannot be reached at \(path): \(reason)"
        case .notPermitted(let reason): "not permitted: \(reason)"
        case .failed(let name, let parameters): Self.sentence(name, parameters)
        case .malformed(let reason): "the answer makes no sense: \(reason)"
        case .cannotListen(let path, let reason): "cannot listen at \(path): \(reason)"
        }
    }

    private static func sentence(_ name: String, _ parameters: JSON) -> String {
        let short = name.split(separator: ".").last.map(String.init) ?? name
        for key in ["reason", "what", "method", "parameter", "interface"] {
            if let text = parameters[key]?.string { return "\(short): \(text)" }
        }
        if let errors = parameters["errors"]?.array {
            return ([short + ":"] + errors.compactMap(\.string)).joined(separator: "\n")
        }
        return short
    }
}
