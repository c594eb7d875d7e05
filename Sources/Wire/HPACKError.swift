/// Why the fields of HTTP/2 cannot be decompressed (RFC 7541).
package enum HPACKError: Error, Hashable, Sendable {
    /// The block ends inside a field.
    case truncated
    /// A number of more than five bytes, or over 2^28.
    case integer
    /// An entry that neither table has.
    case index
    /// A change of the table's size that is not at the start, the third of one block, or over 4,096 (§4.2, §6.3).
    case tableSize
    /// A Huffman code that ends the string, or padding that is not under eight ones (§5.2).
    case huffman
    /// More than 128 fields, or names and values of more than 16 KiB.
    case tooLarge
}

extension HPACKError: CustomStringConvertible {
    /// A sentence without its full stop.
    package var description: String {
        switch self {
        case .truncated: "compressed HTTP/2 fields that end inside one"
        case .integer: "a number too large in compressed HTTP/2 fields"
        case .index: "an entry of no table in compressed HTTP/2 fields"
        case .tableSize: "a wrong table size in compressed HTTP/2 fields"
        case .huffman: "a wrong Huffman code in compressed HTTP/2 fields"
        case .tooLarge: "more than \(HPACKDecoder.fieldLimit) HTTP/2 fields or \(HPACKDecoder.limit) bytes of them"
        }
    }
}
