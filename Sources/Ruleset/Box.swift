package import Model

/// A rectangle of destinations: every address from `lower` to `upper` with every port of `ports`, over one transport.
package struct Box: Hashable, Sendable {
    /// The first address.
    package let lower: IPAddress
    /// The last address: of the same family, and not below `lower`.
    package let upper: IPAddress
    package let transport: Transport
    package let ports: PortRange

    /// The box of these bounds; nil when the families differ or the addresses are in the wrong order.
    package init?(lower: IPAddress, upper: IPAddress, transport: Transport, ports: PortRange) {
        guard lower.isV4 == upper.isV4, lower <= upper else { return nil }
        self.lower = lower
        self.upper = upper
        self.transport = transport
        self.ports = ports
    }

    /// The box of a prefix.
    package init(_ prefix: AddressPrefix, transport: Transport, ports: PortRange) {
        self.lower = prefix.address
        self.upper = prefix.last
        self.transport = transport
        self.ports = ports
    }

    /// Whether the destination lies in the box.
    package func contains(_ address: IPAddress, port: UInt16, transport: Transport) -> Bool {
        self.transport == transport && lower.isV4 == address.isV4 && lower <= address && address <= upper
            && ports.contains(port)
    }
}

extension Box: Comparable {
    /// By transport, then first address, then first port: the order in which boxes are written down.
    package static func < (left: Box, right: Box) -> Bool {
        (left.transport, left.lower, left.ports.lower, left.upper, left.ports.upper)
            < (right.transport, right.lower, right.ports.lower, right.upper, right.ports.upper)
    }
}

extension Box: CustomStringConvertible {
    /// `10.0.0.0-10.0.0.255:443/tcp`; a single address without the second bound.
    package var description: String {
        let addresses = lower == upper ? "\(lower)" : "\(lower)-\(upper)"
        return lower.isV4 ? "\(addresses):\(ports)/\(transport)" : "[\(addresses)]:\(ports)/\(transport)"
    }
}
