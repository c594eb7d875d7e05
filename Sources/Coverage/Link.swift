/// A network device.
package struct Link: Hashable, Sendable {
    package var name: String
    /// As rtnetlink calls it (`veth`, `bridge`); nil for hardware.
    package var kind: String?
    package var isUp: Bool
    package var isLoopback: Bool

    package init(name: String, kind: String?, isUp: Bool, isLoopback: Bool = false) {
        self.name = name
        self.kind = kind
        self.isUp = isUp
        self.isLoopback = isLoopback
    }
}
