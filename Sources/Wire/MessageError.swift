/// Why bytes from a netlink socket are not the message they should be.
package enum MessageError: Error, Hashable, Sendable {
    /// The bytes end inside a header.
    case truncated
    /// A message or attribute says that it is shorter than its header, or longer than what holds it.
    case length
    /// The attribute with this number has fewer bytes than its value needs.
    case shortAttribute(UInt16)
    /// The attribute with this number, without which the message says nothing, is not there.
    case missingAttribute(UInt16)
}

extension MessageError: CustomStringConvertible {
    /// A sentence without its full stop.
    package var description: String {
        switch self {
        case .truncated: "the message ends inside a header"
        case .length: "a message or attribute has an impossible length"
        case .shortAttribute(let type): "attribute \(type) is too short for its value"
        case .missingAttribute(let type): "attribute \(type) is missing"
        }
    }
}
