/// Why bytes are not a DNS message that is read here.
package enum DNSError: Error, Hashable, Sendable {
    /// The bytes end inside the header, a name, a question or a record, or the counts say more than they can hold.
    case truncated
    /// A record's data is shorter or longer than what it must hold.
    case length
    /// A label of the types 0x40 or 0x80 (RFC 6891 §5, obsolete).
    case label
    /// A name of more than 255 bytes.
    case name
    /// A compression pointer that does not lead backwards, leads into the header, or stands where none may; or too many.
    case pointer
    /// A dot or a NUL within a label: two names could have one text.
    case labelByte
    /// Bytes behind the last record.
    case trailing
    /// The parameters of a SVCB or HTTPS record are not in ascending order, each once (RFC 9460 §2.2).
    case parameters
    /// An OPT record that is not alone, not in the additional section or not the root's, or whose options have no end.
    case `extension`
    /// A response where a query is read: nothing answers it, or two servers would answer each other for ever.
    case response
    /// A query with this opcode, which is not QUERY.
    case opcode(UInt8)
    /// A query with this number of questions, which is not one.
    case questions(UInt16)
    /// A query with records other than one OPT.
    case records
}

extension DNSError: CustomStringConvertible {
    /// A sentence without its full stop.
    package var description: String {
        switch self {
        case .truncated: "the message ends inside a header, name or record"
        case .length: "a record's length does not fit its type"
        case .label: "a label of an obsolete type"
        case .name: "a name of more than 255 bytes"
        case .pointer: "a compression pointer that may not be there"
        case .labelByte: "a dot or NUL within a label"
        case .trailing: "bytes behind the last record"
        case .parameters: "service parameters out of order"
        case .extension: "an OPT record that may not be there"
        case .response: "a response where a query belongs"
        case .opcode(let number): "opcode \(number) is not QUERY"
        case .questions(let count): "\(count) questions instead of one"
        case .records: "a query with records"
        }
    }
}
