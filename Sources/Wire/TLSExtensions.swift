/// Walks the extensions of a ClientHello (RFC 8446 §4.2), in the order in which they are sent.
///
/// ```
/// +-------------------------------+-------------------------------+
/// |             type              |        length of the data     |
/// +-------------------------------+-------------------------------+
/// |                            data                               |
/// ```
package struct TLSExtensions: Hashable, Sendable {
    /// An extension: its number, and where its data is in the message.
    package struct Extension: Hashable, Sendable {
        package let type: UInt16
        package let data: Range<Int>
    }

    private var offset: Int
    private let end: Int

    init(_ range: Range<Int>) {
        offset = range.lowerBound
        end = range.upperBound
    }

    /// The next extension of the message that the list was read from; nil behind the last.
    package mutating func next(in message: RawSpan) -> Extension? {
        var cursor = TLSCursor(offset..<end)
        guard let type = cursor.take16(in: message), let data = cursor.vector16(in: message) else { return nil }
        offset = cursor.offset
        return Extension(type: type, data: data)
    }

    /// Whether all of the list was walked over: a list that does not end with an extension stops before its end.
    var isAtEnd: Bool { offset == end }
}
