/// What the kernel refused.
package struct NetfilterError: Error, Hashable, CustomStringConvertible {
    /// The errno value.
    package let code: Int32
    /// What was asked of the kernel.
    package let operation: String

    /// Whether a refusal can mean that another program has what was asked for.
    package let isTaken: Bool

    package init(code: Int32, operation: String, isTaken: Bool = false) {
        self.code = code
        self.operation = operation
        self.isTaken = isTaken
    }

    package static let notPermitted: Int32 = 1
    package static let notFound: Int32 = 2
    package static let interrupted: Int32 = 4
    package static let inputOutput: Int32 = 5
    package static let again: Int32 = 11
    package static let noMemory: Int32 = 12
    package static let busy: Int32 = 16
    package static let exists: Int32 = 17
    package static let notSupported: Int32 = 95
    package static let noBuffers: Int32 = 105

    /// Whether the kernel could not do it just now: nothing is said about what was asked for, and it may be tried again.
    package var isPassing: Bool {
        switch code {
        case Self.notPermitted, Self.interrupted, Self.inputOutput, Self.again, Self.noMemory, Self.busy,
            Self.noBuffers:
            true
        default: false
        }
    }

    package var description: String {
        let mend =
            switch code {
            case Self.notPermitted where isTaken, Self.busy where isTaken:
                "; another egressd runs already in this network namespace, or the service manager keeps its sockets for one "
                    + "that is about to start (systemctl stop egressd), or another program has it"
            case Self.notPermitted: "; run as root or with CAP_NET_ADMIN"
            case Self.busy: "; another program uses it"
            case Self.noBuffers: "; raise net.core.rmem_max"
            default: ""
            }
        return "\(operation): errno \(code)\(mend)"
    }
}

/// The non-negative result of a call of the shim, or its error.
@discardableResult
func check(_ result: Int32, _ operation: @autoclosure () -> String) throws(NetfilterError) -> Int32 {
    guard result >= 0 else { throw NetfilterError(code: -result, operation: operation()) }
    return result
}

/// Whether a call of the shim succeeded; `onFailure` is told when the kernel could not be asked.
func isDone(_ onFailure: (NetfilterError) -> Void, _ result: Int32, _ operation: String) -> Bool {
    guard result < 0 else { return true }
    let error = NetfilterError(code: -result, operation: operation)
    if error.isPassing { onFailure(error) }
    return false
}
