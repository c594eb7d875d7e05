import TestSupport

/// Packets written by hand, whole and well-formed; tests change them.
enum Packets {
    /// 10.0.0.1:40000 → 203.0.113.9:22, SYN with a maximum segment size.
    static let synV4 = hex(
        """
        45 00 002c 1234 4000 40 06 0000 0a000001 cb007109 |
        9c40 0016 00000064 00000000 60 02 faf0 0000 0000 | 020405b4
        """,
    )
    /// 10.0.0.1:40000 → 203.0.113.9:443, an IPv4 header with a router alert, four bytes of payload.
    static let dataV4 = hex(
        """
        46 00 0030 1234 4000 40 06 0000 0a000001 cb007109 | 94040000 |
        9c40 01bb 00000065 00000001 50 18 faf0 0000 0000 | 16030100
        """,
    )
    /// 10.0.0.1:5353 → 10.0.0.53:53, five bytes of payload.
    static let udpV4 = hex("45 00 0021 0000 4000 40 11 0000 0a000001 0a000035 | 14e9 0035 000d 0000 | 68656c6c6f")
    /// 10.0.0.1 → 10.0.0.2, ICMP echo request.
    static let echoV4 = hex("45 00 001c 0000 4000 40 01 0000 0a000001 0a000002 | 08 00 0000 0001 0001")
    /// 10.0.0.1 → 10.0.0.2, GRE.
    static let greV4 = hex("45 00 0018 0000 4000 40 2f 0000 0a000001 0a000002 | 0000 0800")
    /// 2001:db8::1 port 40000 → 2001:db8::9 port 22, SYN.
    static let synV6 = hex(
        """
        60000000 0014 06 40 20010db8000000000000000000000001 20010db8000000000000000000000009 |
        9c40 0016 00000064 00000000 50 02 faf0 0000 0000
        """,
    )
    /// 2001:db8::1 port 5353 → 2001:db8::53 port 53 behind every extension header that is walked.
    static let extendedV6 = hex(
        """
        60000000 0045 00 40 20010db8000000000000000000000001 20010db8000000000000000000000053 |
        3c 00 050200000100 | 2b 00 010400000000 | 33 00 0000 00000000 | 2c 04 0000 00000001 00000002 000102030405060708090a0b |
        11 00 0000 12345678 | 14e9 0035 000d 0000 | 68656c6c6f
        """,
    )
    /// 2001:db8::1 → ff02::2, ICMPv6 router solicitation.
    static let solicitV6 = hex(
        """
        60000000 0008 3a ff 20010db8000000000000000000000001 ff020000000000000000000000000002 |
        85 00 0000 00000000
        """,
    )

    static let all = [synV4, dataV4, udpV4, echoV4, greV4, synV6, extendedV6, solicitV6]
}
