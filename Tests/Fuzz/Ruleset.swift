// fuzz: Model Wire

import Wire

/// libFuzzer's entry: reads the bytes as messages of nf_tables, as in one datagram.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    var walk = NetlinkMessages()
    var read: [RulesetMessage] = []
    while let message = try? next(&walk, start, count) {
        guard let object = try? object(message, start) else { continue }
        for name in [object.table, object.name, object.chainType, object.processName, object.hook?.device ?? ""] {
            precondition(name.utf8.count <= 256, "a name without bound")
            precondition(name.utf8.allSatisfy { (0x21...0x7e).contains($0) }, "a name that cannot be printed")
        }
        read.append(object)
    }
    _ = RulesetMessage.summary(of: "inet egressd", read)
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

private func object(_ message: NetlinkMessage, _ start: UnsafePointer<UInt8>) throws -> RulesetMessage? {
    let payload = message.payload
    return try RulesetMessage(
        type: message.type,
        RawSpan(_unsafeStart: UnsafeRawPointer(start) + payload.lowerBound, byteCount: payload.count),
    )
}
