// fuzz: Model Wire

import Wire

/// libFuzzer's entry: walks the bytes as one datagram of netlink messages.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    var walk = NetlinkMessages()
    var end = 0
    while let message = try? next(&walk, start, count) {
        precondition(message.payload.lowerBound >= end + 16, "messages overlap")
        precondition(message.payload.upperBound <= count, "payload out of bounds")
        end = message.payload.upperBound
        var attributes = NetlinkAttributes(message.payload)
        while let attribute = try? next(&attributes, start, count) {
            precondition(attribute.value.lowerBound >= message.payload.lowerBound + 4, "attribute before its message")
            precondition(attribute.value.upperBound <= message.payload.upperBound, "attribute behind its message")
        }
    }
    return 0
}

// `try?` around a borrowed span crashes the compiler (6.3.1), so the calls stand in functions of their own.
private func next(
    _ walk: inout NetlinkMessages,
    _ start: UnsafePointer<UInt8>,
    _ count: Int,
) throws -> NetlinkMessage? {
    try walk.next(in: RawSpan(_unsafeStart: UnsafeRawPointer(start), byteCount: count))
}

private func next(
    _ walk: inout NetlinkAttributes,
    _ start: UnsafePointer<UInt8>,
    _ count: Int,
) throws -> NetlinkAttributes.Attribute? {
    try walk.next(in: RawSpan(_unsafeStart: UnsafeRawPointer(start), byteCount: count))
}
