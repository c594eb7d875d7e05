extension ApplicationSigns {
    /// The first or the second message of WireGuard's handshake: a type, three zeros, a fixed size.
    static func isWireGuard(_ bytes: RawSpan) -> Bool {
        switch bytes.byteCount {
        case 148: bytes.network32(at: 0) == 0x0100_0000
        case 92: bytes.network32(at: 0) == 0x0200_0000
        default: false
        }
    }

    /// OpenVPN's first packet, which resets the session.
    ///
    /// An opcode with key 0, a session id, and then by the kind of its shell:
    ///
    /// ```
    /// none           an empty list of acknowledgements, packet 0
    /// tls-auth       an HMAC, packet 1, time, an empty list, packet 0
    /// tls-crypt      packet 1, time, an HMAC of 32 bytes, 5 encrypted ones
    /// tls-crypt-v2   the same with the client's wrapped key, which ends with its own length
    /// ```
    static func isOpenVPN(_ bytes: RawSpan) -> Bool {
        let count = bytes.byteCount
        let packet = bytes.network32(at: 9)
        switch bytes.byte(at: 0) {
        // P_CONTROL_HARD_RESET_CLIENT_V2.
        case 0x38:
            if count == 14 { return packet == 0 && bytes.byte(at: 13) == 0 }
            if count == 54, packet == 1 { return true }
            let hash = count - 22
            guard hashes.contains(hash), bytes.network32(at: 9 + hash) == 1 else { return false }
            return bytes.byte(at: 17 + hash) == 0 && bytes.network32(at: 18 + hash) == 0
        // P_CONTROL_HARD_RESET_CLIENT_V3; 0x0f000001 asks for a cookie first.
        case 0x50:
            guard packet == 1 || packet == 0x0f00_0001, let key = bytes.network16(at: count - 2) else { return false }
            return count == 54 + Int(key)
        default: return false
        }
    }

    /// The sizes of MD5, SHA-1, SHA-224, SHA-256, SHA-384 and SHA-512.
    private static let hashes: Set = [16, 20, 28, 32, 48, 64]

    /// A query or an answer of the DHT (BEP 5), the question to a tracker (BEP 15), or the SYN of uTP (BEP 29).
    static func isBitTorrentDatagram(_ bytes: RawSpan) -> Bool {
        if bytes.matches("d1:ad2:id20:", at: 0) || bytes.matches("d1:rd2:id20:", at: 0) { return true }
        if bytes.byteCount == 16, bytes.network64(at: 0) == 0x0417_2710_1980 { return bytes.network32(at: 8) == 0 }
        // Type 4 and version 1, no extension; no difference of time, nothing to acknowledge yet.
        return bytes.byteCount == 20 && bytes.network16(at: 0) == 0x4100 && bytes.network32(at: 8) == 0
            && bytes.network16(at: 18) == 0
    }
}
