/// What the OPT record says (RFC 6891 §6.1): EDNS.
///
/// ```
/// +---------------+---------------+-------------------------------+
/// |    0 (root)   |      type 41      |       payload size        |
/// +---------------+---------------+-------------------------------+
/// | extended code |    version    |D|             0               |
/// +---------------+---------------+-------------------------------+
/// |        options' length        |  options: code, length, value |
/// ```
///
/// Options are read over and not kept.
package struct DNSExtension: Hashable, Sendable {
    /// The largest UDP payload that the sender takes, in bytes; less than 512 means 512.
    package var payloadSize: UInt16
    /// The high 8 bits of the response code.
    package var extendedCode: UInt8
    /// 0 is the only one there is.
    package var version: UInt8
    /// DO: the sender wants DNSSEC records (RFC 3225).
    package var dnssecOK: Bool

    package init(payloadSize: UInt16, extendedCode: UInt8 = 0, version: UInt8 = 0, dnssecOK: Bool = false) {
        self.payloadSize = payloadSize
        self.extendedCode = extendedCode
        self.version = version
        self.dnssecOK = dnssecOK
    }
}

/// An option of EDNS, for writing only.
package struct DNSOption: Hashable, Sendable {
    /// Extended DNS Error (RFC 8914): a code of 16 bits, then text in UTF-8.
    package static let extendedError: UInt16 = 15

    package var code: UInt16
    /// At most 65,535 bytes.
    package var value: [UInt8]

    package init(code: UInt16, value: [UInt8]) {
        self.code = code
        self.value = value
    }
}
