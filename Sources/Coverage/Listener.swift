package import Model

/// A socket that waits for connections, or for datagrams from anybody.
package struct Listener: Hashable, Sendable {
    package var transport: Transport
    package var address: IPAddress
    package var port: UInt16
    /// The workload in whose cgroup it was made; nil: no workload's.
    package var workload: String?

    package init(_ transport: Transport = .tcp, address: IPAddress, port: UInt16, workload: String?) {
        self.transport = transport
        self.address = address
        self.port = port
        self.workload = workload
    }
}
