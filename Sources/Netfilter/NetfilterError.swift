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
    package static let again: Int32 = 11
    package static let busy: Int32 = 16
    package static let exists: Int32 = 17
    package static let notSupported: Int32 = 95
    package static let noBuffers: Int32 = 105

    package var description: String {
        let mend =
            switch code {
            case Self.notPermitted where isTaken, Self.busy where isTaken:
                "; another egressd runs already in this network namespace, or another program has it"
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
