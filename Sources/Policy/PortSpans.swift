package import Model

/// Ports of one transport.
package struct PinPorts: Hashable, Sendable {
    package let transport: Transport
    package let ports: ClosedRange<UInt16>

    package init(transport: Transport, ports: ClosedRange<UInt16>) {
        self.transport = transport
        self.ports = ports
    }

    /// How many ports these are.
    package var count: Int { ports.count }
}

/// A set of ports, as ranges that neither overlap nor touch, in ascending order.
struct PortSpans: Hashable {
    private(set) var ranges: [ClosedRange<UInt16>] = []

    /// The ports of these entries that are meant for the transport.
    init(_ specs: some Sequence<PortSpec>, _ transport: Transport) {
        let meant = specs.filter { $0.transports.contains(transport) }.map { $0.range.lower...$0.range.upper }
        for range in meant.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            guard let last = ranges.last, Int(range.lowerBound) <= Int(last.upperBound) + 1 else {
                ranges.append(range)
                continue
            }
            ranges[ranges.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
        }
    }

    /// Whether the set holds each of these ports.
    func contains(_ ports: ClosedRange<UInt16>) -> Bool {
        ranges.contains { $0.lowerBound <= ports.lowerBound && ports.upperBound <= $0.upperBound }
    }

    /// The ports of this set that are not in the other.
    func subtracting(_ other: PortSpans) -> PortSpans {
        var left = self
        left.ranges = ranges.flatMap { range in
            var (pieces, lower) = ([ClosedRange<UInt16>](), Int(range.lowerBound))
            for hole in other.ranges where hole.overlaps(range) {
                if lower < Int(hole.lowerBound) { pieces.append(UInt16(lower)...(hole.lowerBound - 1)) }
                lower = Int(hole.upperBound) + 1
            }
            if lower <= Int(range.upperBound) { pieces.append(UInt16(lower)...range.upperBound) }
            return pieces
        }
        return left
    }
}
