/// A CIDR prefix: an address and how many of its leading bits count.
///
/// The bits below are zero.
package struct AddressPrefix: Hashable, Sendable {
    /// The first address of the prefix.
    package let address: IPAddress
    /// How many leading bits count: 0...32 or 0...128.
    package let length: Int

    /// A prefix; nil when the length is out of range or a bit below it is set.
    package init?(address: IPAddress, length: Int) {
        guard (0...address.width).contains(length) else { return nil }
        self.address = address
        self.length = length
        guard address.bits & hostMask == 0 else { return nil }
    }

    /// The prefix that holds this one address.
    package init(_ address: IPAddress) {
        self.address = address
        self.length = address.width
    }

    private var hostMask: UInt128 {
        let hostBits = address.width - length
        return hostBits == 128 ? .max : (UInt128(1) << UInt128(hostBits)) - 1
    }

    /// The last address of the prefix.
    package var last: IPAddress {
        let bits = address.bits | hostMask
        return address.isV4 ? .v4(UInt32(truncatingIfNeeded: bits)) : .v6(bits)
    }

    /// Whether the prefix is one address.
    package var isHost: Bool { length == address.width }

    /// Whether the address lies in the prefix; false for the other family.
    package func contains(_ other: IPAddress) -> Bool {
        address.isV4 == other.isV4 && other.bits & ~hostMask == address.bits
    }

    /// All of IPv4.
    package static let allV4 = AddressPrefix(unchecked: .v4(0))
    /// All of IPv6.
    package static let allV6 = AddressPrefix(unchecked: .v6(0))

    private init(unchecked address: IPAddress) {
        self.address = address
        self.length = 0
    }
}

extension AddressPrefix: CustomStringConvertible {
    /// `10.0.0.0/8`; a single address without its length.
    package var description: String { isHost ? "\(address)" : "\(address)/\(length)" }
}
