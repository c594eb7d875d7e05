/// The decoder of HTTP/2's field blocks (RFC 7541); one for all blocks of a connection, in their order.
package struct HPACKDecoder: Sendable {
    /// The bytes of names and values of one block at most.
    package static let limit = HTTPRequestHead.limit
    /// The fields of one block at most.
    package static let fieldLimit = HTTPRequestHead.fieldLimit

    private var table = HPACKTable()

    package init() {}

    /// What counts in the dynamic table (§4.1).
    package var tableSize: Int { table.size }

    /// The fields of a whole block, in its order; the decoder is of no use after an error.
    package mutating func fields(_ bytes: RawSpan, in block: Range<Int>) throws(HPACKError) -> [HPACKField] {
        var cursor = HPACKCursor(block)
        try resize(bytes, &cursor)
        var fields: [HPACKField] = []
        var size = 0
        while !cursor.isAtEnd {
            let field = try field(bytes, &cursor)
            size += field.name.count + field.value.count
            guard size <= Self.limit, fields.count < Self.fieldLimit else { throw .tooLarge }
            fields.append(field)
        }
        return fields
    }

    /// Reads the changes of the table's size, which come first (§4.2, §6.3): the smallest since the last block, and the last.
    private mutating func resize(_ bytes: RawSpan, _ cursor: inout HPACKCursor) throws(HPACKError) {
        var changes = 0
        while let first = cursor.next(in: bytes), first >> 5 == 1 {
            let limit = try cursor.integer(in: bytes, prefix: 5)
            changes += 1
            guard limit <= HPACKTable.sizeLimit, changes <= 2 else { throw .tableSize }
            table.resize(to: limit)
        }
    }

    /// Reads one field (§6).
    ///
    /// ```
    /// 1 index(7)                        both from a table
    /// 0 1 index(6) [name] value         kept in the table
    /// 0 0 1 size(5)                     a change of its size
    /// 0 0 0 N index(4) [name] value     not kept, N: never
    /// ```
    private mutating func field(_ bytes: RawSpan, _ cursor: inout HPACKCursor) throws(HPACKError) -> HPACKField {
        guard let first = cursor.next(in: bytes) else { throw .truncated }
        guard first < 0x80 else {
            guard let field = table[try cursor.integer(in: bytes, prefix: 7)] else { throw .index }
            return field
        }
        guard first >> 5 != 1 else { throw .tableSize }
        let isKept = first >= 0x40
        let index = try cursor.integer(in: bytes, prefix: isKept ? 6 : 4)
        let name: [UInt8]
        if index > 0 {
            guard let entry = table[index] else { throw .index }
            name = entry.name
        } else {
            name = try cursor.string(in: bytes)
        }
        let field = HPACKField(name: name, value: try cursor.string(in: bytes))
        if isKept { table.add(field) }
        return field
    }
}
