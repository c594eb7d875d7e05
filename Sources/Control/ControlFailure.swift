package import Model

/// An error that a call is answered with.
package enum ControlFailure: Hashable, Sendable {
    /// The caller's role does not allow it, or its cgroup belongs to a workload.
    case permissionDenied(reason: String)
    /// There is no such request, grant or workload.
    case notFound(what: String)
    /// What is asked for makes no sense.
    case invalidRequest(reason: String)
    /// The policies on disk are wrong; what was in force stays in force.
    case reloadFailed(errors: [String])
    /// A parameter is missing or has the wrong type.
    case invalidParameter(String)
    /// The interface has no such method.
    case methodNotFound(String)
    /// The interface has the method, and this daemon cannot do it.
    case methodNotImplemented(String)
    /// The daemon does not speak the interface.
    case interfaceNotFound(String)

    /// The qualified name on the wire.
    package var name: String {
        switch self {
        case .permissionDenied: "io.egressd.PermissionDenied"
        case .notFound: "io.egressd.NotFound"
        case .invalidRequest: "io.egressd.InvalidRequest"
        case .reloadFailed: "io.egressd.ReloadFailed"
        case .invalidParameter: "org.varlink.service.InvalidParameter"
        case .methodNotFound: "org.varlink.service.MethodNotFound"
        case .methodNotImplemented: "org.varlink.service.MethodNotImplemented"
        case .interfaceNotFound: "org.varlink.service.InterfaceNotFound"
        }
    }

    /// The parameters that go with it.
    package var parameters: JSON {
        switch self {
        case .permissionDenied(let reason), .invalidRequest(let reason): ["reason": .string(reason)]
        case .notFound(let what): ["what": .string(what)]
        case .reloadFailed(let errors): ["errors": JSON(errors)]
        case .invalidParameter(let name): ["parameter": .string(name)]
        case .methodNotFound(let name), .methodNotImplemented(let name): ["method": .string(name)]
        case .interfaceNotFound(let name): ["interface": .string(name)]
        }
    }
}
