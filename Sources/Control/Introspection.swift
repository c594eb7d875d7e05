import Model

/// `org.varlink.service`, and the calls of methods that do not exist.
struct Introspection {
    let version: String
    private let methods = Set(ControlInterface.methods)

    init(version: String) { self.version = version }

    /// Whether the call was answered here: everything but the methods of `io.egressd`.
    func answers(_ call: ControlCall) -> Bool {
        switch call.interface {
        case ControlInterface.name where methods.contains(call.method): return false
        case ControlInterface.name: call.fail(.methodNotFound(call.method))
        case "org.varlink.service": answer(call)
        default: call.fail(.interfaceNotFound(call.interface))
        }
        return true
    }

    private func answer(_ call: ControlCall) {
        switch call.method {
        case "GetInfo":
            call.reply([
                "vendor": "egressd", "product": "egressd", "version": .string(version), "url": "",
                "interfaces": ["io.egressd", "org.varlink.service"],
            ])
        case "GetInterfaceDescription":
            switch call.parameters["interface"]?.string {
            case ControlInterface.name: call.reply(["description": .string(ControlInterface.description)])
            case "org.varlink.service": call.reply(["description": .string(ControlInterface.service)])
            case let other?: call.fail(.interfaceNotFound(other))
            case nil: call.fail(.invalidParameter("interface"))
            }
        default: call.fail(.methodNotFound(call.method))
        }
    }
}
