import Model

/// Cuts what a policy says into boxes that the kernel's interval maps can hold.
///
/// Elements of one interval map must never overlap: the kernel refuses some overlaps and silently orders others by age, so
/// that a deny could be lost. The boxes made here are disjoint, whatever the rules are and in whatever order they stand.
package enum Boxes {
    /// The disjoint boxes of all destinations that an `allow` box holds and no `deny` box does, sorted.
    ///
    /// The result depends on the destinations alone, not on the order of the arguments. n boxes take O(n log n) steps plus
    /// what the result and its cuts need; the result is quadratic only where ports and addresses cross each other.
    package static func cut(allow: [Box], deny: [Box]) -> [Box] {
        var planes: [Plane: (allow: [Rectangle], deny: [Rectangle])] = [:]
        for box in Set(allow) {
            planes[Plane(box), default: ([], [])].allow.append(Rectangle(box))
        }
        for box in Set(deny) {
            // A plane that nothing is allowed in has nothing to subtract from.
            guard let index = planes.index(forKey: Plane(box)) else { continue }
            planes.values[index].deny.append(Rectangle(box))
        }
        var boxes: [Box] = []
        for (plane, rectangles) in planes {
            for rectangle in fewest(allow: rectangles.allow, deny: rectangles.deny) {
                boxes.append(plane.box(rectangle))
            }
        }
        return boxes.sorted()
    }

    /// The fewer rectangles of cutting by addresses first and by ports first.
    private static func fewest(allow: [Rectangle], deny: [Rectangle]) -> [Rectangle] {
        let byAddress = Sweep.cut(allow: allow, deny: deny)
        // Fewer than one for each that was asked for is good enough; a second sweep rarely finds better.
        guard byAddress.count > allow.count else { return byAddress }
        let byPort = Sweep.cut(allow: allow.map(\.turned), deny: deny.map(\.turned))
        return byPort.count < byAddress.count ? byPort.map(\.turned) : byAddress
    }
}

/// What two boxes must share to be able to overlap.
private struct Plane: Hashable {
    let transport: Transport
    let isV4: Bool

    init(_ box: Box) {
        self.transport = box.transport
        self.isV4 = box.lower.isV4
    }

    func box(_ rectangle: Rectangle) -> Box {
        let (addresses, ports) = (rectangle.first, rectangle.second)
        let address = { (bits: UInt128) in isV4 ? IPAddress.v4(UInt32(truncatingIfNeeded: bits)) : .v6(bits) }
        guard
            let range = PortRange(
                UInt16(truncatingIfNeeded: ports.lowerBound),
                UInt16(truncatingIfNeeded: ports.upperBound),
            ),
            let box = Box(
                lower: address(addresses.lowerBound),
                upper: address(addresses.upperBound),
                transport: transport,
                ports: range,
            )
        else { preconditionFailure("A cut keeps its bounds in order and in their domain.") }
        return box
    }
}

extension Rectangle {
    fileprivate init(_ box: Box) {
        self.first = box.lower.bits...box.upper.bits
        self.second = UInt128(box.ports.lower)...UInt128(box.ports.upper)
    }
}
