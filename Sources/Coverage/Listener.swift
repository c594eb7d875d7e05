package import Model

/// A socket that listens for TCP connections.
package struct Listener: Hashable, Sendable {
    package var address: IPAddress
    package var port: UInt16
    /// The workload in whose cgroup it was made; nil: no workload's.
    package var workload: String?

    package init(address: IPAddress, port: UInt16, workload: String?) {
        self.address = address
        self.port = port
        self.workload = workload
    }
}
