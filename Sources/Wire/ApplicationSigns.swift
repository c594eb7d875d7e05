package import Model

extension Application {
    /// What the first bytes of a client are on a stream, for the record of a flow that no reader took.
    ///
    /// Says `unknown` when it is not sure; a few bytes are seldom enough. More bytes can make it surer. Nothing is allowed by what
    /// this says: the readers of the protocols judge.
    package static func ofStream(_ bytes: RawSpan) -> Application {
        if ApplicationSigns.isTLS(bytes) { return .tls }
        if bytes.matches("SSH-", at: 0) { return .ssh }
        if let http = ApplicationSigns.http(bytes) { return http }
        if bytes.matches("\u{13}BitTorrent protocol", at: 0) { return .bittorrent }
        if StratumSigns.areIn(bytes) { return .stratum }
        if ApplicationSigns.isSOCKS4(bytes) || ApplicationSigns.isSOCKS5(bytes) { return .socks }
        if let length = bytes.network16(at: 0), Int(length) <= bytes.byteCount - 2 {
            let message = bytes.extracting(2..<(2 + Int(length)))
            if ApplicationSigns.isDNS(message) { return .dns }
            if Int(length) == bytes.byteCount - 2, ApplicationSigns.isOpenVPN(message) { return .openvpn }
        }
        return .unknown
    }

    /// What a flow's first datagram is; `unknown` when it is not sure.
    package static func ofDatagram(_ bytes: RawSpan) -> Application {
        if QUICFlight.mayBegin(bytes) { return .quic }
        if ApplicationSigns.isWireGuard(bytes) { return .wireguard }
        if ApplicationSigns.isBitTorrentDatagram(bytes) { return .bittorrent }
        if ApplicationSigns.isOpenVPN(bytes) { return .openvpn }
        return ApplicationSigns.isDNS(bytes) ? .dns : .unknown
    }

    /// What a server is that speaks before its client does: `ssh`, or `unknown`.
    package static func ofServer(_ bytes: RawSpan) -> Application {
        if bytes.matches("SSH-", at: 0) { return .ssh }
        do throws(SSHError) {
            return try SSHBanner.read(bytes, from: .server) == nil ? .unknown : .ssh
        } catch {
            return .unknown
        }
    }
}

/// Signs that first bytes carry; each is enough by itself.
enum ApplicationSigns {
    /// A record with the start of a ClientHello (RFC 8446 §5.1); three bytes of it are enough.
    static func isTLS(_ bytes: RawSpan) -> Bool {
        guard bytes.byte(at: 0) == 22, bytes.byte(at: 1) == 3, let minor = bytes.byte(at: 2), minor <= 4 else {
            return false
        }
        if let length = bytes.network16(at: 3), !(1...16_640).contains(length) { return false }
        return bytes.byte(at: 5) ?? 1 == 1
    }

    /// SOCKS 4 and 4a: CONNECT or BIND, port, address, user and name with a NUL behind each, and nothing more: the client waits.
    static func isSOCKS4(_ bytes: RawSpan) -> Bool {
        guard bytes.byte(at: 0) == 4, let command = bytes.byte(at: 1), command == 1 || command == 2,
            let port = bytes.network16(at: 2), port > 0, let address = bytes.network32(at: 4),
            var end = endOfText(bytes, from: 8)
        else { return false }
        // 0.0.0.x stands for the name that follows (4a).
        if address > 0, address < 256 {
            guard let after = endOfText(bytes, from: end), after > end + 1 else { return false }
            end = after
        }
        return end == bytes.byteCount
    }

    /// The place behind visible bytes and a NUL; nil when there is something else.
    private static func endOfText(_ bytes: RawSpan, from start: Int) -> Int? {
        var offset = start
        while let byte = bytes.byte(at: offset), (0x20...0x7e).contains(byte) { offset += 1 }
        return bytes.byte(at: offset) == 0 ? offset + 1 : nil
    }

    /// SOCKS 5: the methods that the client knows (RFC 1928 §3), each once, a common one among them, and nothing more.
    static func isSOCKS5(_ bytes: RawSpan) -> Bool {
        guard bytes.byte(at: 0) == 5, let count = bytes.byte(at: 1), (1...16).contains(count),
            bytes.byteCount == 2 + Int(count)
        else { return false }
        var seen: Set<UInt8> = [0xff]
        for offset in 2..<bytes.byteCount {
            guard let method = bytes.byte(at: offset), seen.insert(method).inserted else { return false }
        }
        return !seen.isDisjoint(with: 0...2)
    }

    /// A whole query with one question and nothing behind it.
    static func isDNS(_ bytes: RawSpan) -> Bool {
        do throws(DNSError) {
            _ = try DNSQuery(bytes)
            return true
        } catch {
            return false
        }
    }
}
