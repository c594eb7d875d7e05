import CLinux

/// What the daemon asks its helper for, and what the helper answers with the sockets that it made.
///
/// ```
/// 0         1               2           3
/// | 4 or 6  | 1 UDP, 2 TCP  | how many  |
/// ```
/// The answer has the same form; it may hold fewer, none when the helper has no descriptors left.
struct SocketRequest: Hashable {
    static let size = 3

    let kind: InternetSockets.Kind
    let count: Int

    init(kind: InternetSockets.Kind, count: Int) {
        self.kind = kind
        self.count = count
    }

    /// Nil for anything else than the form above.
    init?(_ bytes: some Collection<UInt8>) {
        let bytes = Array(bytes)
        guard bytes.count == Self.size, bytes[0] == 4 || bytes[0] == 6, bytes[1] == 1 || bytes[1] == 2,
            bytes[2] <= CLX_PASSED_MAX
        else { return nil }
        kind = InternetSockets.Kind(isV6: bytes[0] == 6, isStream: bytes[1] == 2)
        count = Int(bytes[2])
    }

    var bytes: [UInt8] { [kind.isV6 ? 6 : 4, kind.isStream ? 2 : 1, UInt8(count)] }
}
