/// What a request or a grant is about: an address, or a name that was asked for; a request also many of both.
package enum Subject: Hashable, Sendable {
    case address(Destination)
    case name(DomainName)
    /// What is not told of one by one.
    case others

    /// The destination; nil for a name.
    package var destination: Destination? {
        if case .address(let destination) = self { destination } else { nil }
    }

    /// The name; nil for an address.
    package var name: DomainName? {
        if case .name(let name) = self { name } else { nil }
    }
}

extension Subject: CustomStringConvertible {
    package var description: String {
        switch self {
        case .address(let destination): "\(destination)"
        case .name(let name): "\(name)"
        case .others: "other destinations"
        }
    }
}
