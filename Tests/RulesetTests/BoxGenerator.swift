import Model
import TestSupport

@testable import Ruleset

#if canImport(Glibc)
#endif

/// Random boxes and points that like to meet: few distinct bounds, and the ends of every domain.
struct BoxGenerator {
    /// What kind of boxes.
    enum Shape: CaseIterable {
        /// IPv4 prefixes, nested and side by side.
        case nested
        /// IPv6 prefixes.
        case nestedV6
        /// Ranges with free bounds near the ends of IPv4.
        case free
        /// Ranges with free bounds near the ends of IPv6.
        case freeV6
        /// Both families and transports.
        case mixed
    }

    let shape: Shape
    var random: SplitMix

    init(seed: UInt64, shape: Shape) {
        self.shape = shape
        self.random = SplitMix(state: seed)
    }

    mutating func boxes(upTo limit: Int) -> [Box] { (0..<Int.random(in: 0...limit, using: &random)).map { _ in box() } }

    mutating func point() -> BoxPoint {
        let box = box()
        return BoxPoint(
            address: Bool.random(using: &random) ? box.lower : box.upper,
            port: port(),
            transport: box.transport
        )
    }

    private mutating func box() -> Box {
        let isV4: Bool
        let isFree: Bool
        switch shape {
        case .nested: (isV4, isFree) = (true, false)
        case .nestedV6: (isV4, isFree) = (false, false)
        case .free: (isV4, isFree) = (true, true)
        case .freeV6: (isV4, isFree) = (false, true)
        case .mixed: (isV4, isFree) = (Bool.random(using: &random), Bool.random(using: &random))
        }
        let transport = shape == .mixed && Bool.random(using: &random) ? Transport.udp : .tcp
        let (lower, upper) = isFree ? freeBounds(isV4: isV4) : prefixBounds(isV4: isV4)
        let (first, last) = (port(), port())
        guard let ports = PortRange(min(first, last), max(first, last)),
            let box = Box(lower: lower, upper: upper, transport: transport, ports: ports)
        else { preconditionFailure("The bounds were put in order.") }
        return box
    }

    private mutating func freeBounds(isV4: Bool) -> (IPAddress, IPAddress) {
        let (left, right) = (address(isV4: isV4), address(isV4: isV4))
        return (min(left, right), max(left, right))
    }

    private mutating func prefixBounds(isV4: Bool) -> (IPAddress, IPAddress) {
        let width = isV4 ? 32 : 128
        // Lengths a few bits apart, so that prefixes nest and touch.
        let length =
            [0, 1, width / 2, width / 2 + 1, width / 2 + 2, width - 2, width - 1, width]
            .randomElement(using: &random) ?? 0
        let host = length == 0 ? UInt128.max : (UInt128(1) << UInt128(width - length)) - 1
        let bits = address(isV4: isV4).bits & ~host
        let domain = isV4 ? UInt128(UInt32.max) : .max
        return (make(bits, isV4: isV4), make((bits | host) & domain, isV4: isV4))
    }

    private mutating func address(isV4: Bool) -> IPAddress {
        let top = isV4 ? UInt128(UInt32.max) : .max
        let step = UInt128(UInt8.random(in: 0...6, using: &random))
        let middle = (top / 2) + 1
        let edges: [UInt128] = [step, top - step, middle + step, middle - step, middle + (step << 16)]
        return make(edges.randomElement(using: &random) ?? 0, isV4: isV4)
    }

    private func make(_ bits: UInt128, isV4: Bool) -> IPAddress {
        isV4 ? .v4(UInt32(truncatingIfNeeded: bits)) : .v6(bits)
    }

    private mutating func port() -> UInt16 {
        let few: [UInt16] = [0, 1, 2, 22, 443, 444, 445, 9000, 9010, .max - 1, .max]
        return few.randomElement(using: &random) ?? 0
    }
}

/// A destination to ask the boxes for.
struct BoxPoint: CustomStringConvertible {
    var address: IPAddress
    var port: UInt16
    var transport: Transport

    func isIn(_ box: Box) -> Bool { box.contains(address, port: port, transport: transport) }

    /// The bounds of a box, and one step to either side of each.
    static func around(_ box: Box) -> [BoxPoint] {
        let addresses = [box.lower, box.upper].flatMap { [$0, $0.moved(by: 1), $0.moved(by: -1)] }.compactMap(\.self)
        let ports = [box.ports.lower, box.ports.upper].flatMap { [$0, $0 &+ 1, $0 &- 1] }
        return addresses.flatMap { address in
            ports.map { BoxPoint(address: address, port: $0, transport: box.transport) }
        }
    }

    var description: String { "\(address) port \(port)/\(transport)" }
}

extension IPAddress {
    /// The address a step further; nil past the end of the family.
    fileprivate func moved(by step: Int) -> IPAddress? {
        let (bits, overflow) =
            step < 0
            ? bits.subtractingReportingOverflow(UInt128(-step)) : bits.addingReportingOverflow(UInt128(step))
        guard !overflow, bits <= (isV4 ? UInt128(UInt32.max) : .max) else { return nil }
        return isV4 ? .v4(UInt32(truncatingIfNeeded: bits)) : .v6(bits)
    }
}
