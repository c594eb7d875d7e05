package import Model

/// One entry of a rule's `to`.
package enum Target: Hashable, Sendable {
    /// Every address, and every name.
    case any
    case prefix(AddressPrefix)
    case name(NamePattern)

    /// Whether the address is covered.
    ///
    /// A name covers no address: it is learned, not known.
    package func covers(_ address: IPAddress) -> Bool {
        switch self {
        case .any: true
        case .prefix(let prefix): prefix.contains(address)
        case .name: false
        }
    }

    /// Whether the name is covered.
    package func covers(_ name: DomainName) -> Bool {
        switch self {
        case .any: true
        case .prefix: false
        case .name(let pattern): pattern.matches(name)
        }
    }

    /// Whether the entry is a name.
    package var isName: Bool {
        if case .name = self { true } else { false }
    }
}

extension Target: CustomStringConvertible {
    /// As it is written in a policy file.
    package var description: String {
        switch self {
        case .any: "any"
        case .prefix(let prefix): "\(prefix)"
        case .name(let pattern): "\(pattern)"
        }
    }
}
