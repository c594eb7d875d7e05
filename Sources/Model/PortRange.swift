/// A closed range of ports.
package struct PortRange: Hashable, Sendable {
    /// The first port.
    package let lower: UInt16
    /// The last port, at least `lower`.
    package let upper: UInt16

    /// The range from `lower` to `upper`; nil when they are in the wrong order.
    package init?(_ lower: UInt16, _ upper: UInt16) {
        guard lower <= upper else { return nil }
        self.lower = lower
        self.upper = upper
    }

    /// The range that holds this one port.
    package init(_ port: UInt16) {
        self.lower = port
        self.upper = port
    }

    /// Every port.
    package static let all = PortRange(unchecked: 0, .max)

    private init(unchecked lower: UInt16, _ upper: UInt16) {
        self.lower = lower
        self.upper = upper
    }

    /// Whether the port lies in the range.
    package func contains(_ port: UInt16) -> Bool { lower <= port && port <= upper }

    /// How many ports the range holds.
    package var count: Int { Int(upper) - Int(lower) + 1 }
}

extension PortRange: CustomStringConvertible {
    /// `443`, `9000-9010`, or `any` for every port.
    package var description: String {
        self == .all ? "any" : lower == upper ? "\(lower)" : "\(lower)-\(upper)"
    }
}
