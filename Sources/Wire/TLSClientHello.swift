/// The first message of a TLS client: what it offers, and whom it wants to speak to.
///
/// ```
/// +---------------+-----------------------------------------------+
/// | type 1        |              length of the rest               |
/// +---------------+---------------+-------------------------------+
/// |        legacy version         |       random, 32 bytes …      |
/// +-------------------------------+-------------------------------+
/// | session id: 8 bits of length  | cipher suites: 16 bits        |
/// | compression methods: 8 bits   | extensions: 16 bits           |
/// ```
///
/// RFC 8446 §4.1.2 and RFC 5246 §7.4.1.2. Every length is checked to the byte; the data of extensions that nothing here needs is
/// only placed. Ranges are into the message, with its header, that it was read from; take them from the same bytes. Never traps,
/// whatever the bytes are, and allocates nothing.
package struct TLSClientHello: Hashable, Sendable {
    /// How many extensions are read: browsers send about 20.
    package static let extensionLimit = 64
    /// The handshake type of a ClientHello.
    static let handshakeType: UInt8 = 1
    /// The bytes before the message's body: type and length.
    static let headerLength = 4

    /// The version that TLS 1.2 and earlier go by.
    package let legacyVersion: UInt16
    /// The highest version of TLS 1.0 to 1.3 (0x0301...0x0304) that is offered.
    package internal(set) var version: UInt16
    /// At most 32 bytes.
    package let sessionID: Range<Int>
    /// At least one.
    package let cipherSuites: TLSNumbers
    /// One byte each; `null`, 0, is among them.
    package let compressions: Range<Int>
    /// All extensions, each type once.
    package let extensions: TLSExtensions
    /// How many extensions there are.
    package private(set) var extensionCount = 0
    /// The data of `server_name` (RFC 6066 §3); nil without one.
    var serverNames: Range<Int>?
    /// The one host name in there; nil when it has something else.
    var hostName: Range<Int>?
    /// The versions that are offered (RFC 8446 §4.2.1); nil without a list.
    package internal(set) var supportedVersions: TLSNumbers?
    /// The protocols that are offered (RFC 7301); empty without a list.
    package internal(set) var protocols = TLSStrings(0..<0)
    /// The signature algorithms that are taken (RFC 8446 §4.2.3); empty without a list.
    package internal(set) var signatureAlgorithms = TLSNumbers(0..<0)
    /// Whether there is another ClientHello inside, encrypted (`encrypted_client_hello`), or what looks like one.
    package private(set) var hasEncryptedHello = false
    /// Whether there is an encrypted server name (ESNI, the drafts before ECH).
    package private(set) var hasEncryptedName = false

    /// Reads a whole handshake message with its header of four bytes; bytes behind it are an error.
    package init(_ message: RawSpan) throws(TLSError) {
        var cursor = try Self.body(of: message)
        guard let version = cursor.take16(in: message), cursor.skip(32) != nil,
            let sessionID = cursor.vector8(in: message), let suites = cursor.vector16(in: message),
            let compressions = cursor.vector8(in: message)
        else { throw .truncated }
        guard sessionID.count <= 32 else { throw .sessionID }
        guard !suites.isEmpty, suites.count.isMultiple(of: 2) else { throw .cipherSuites }
        guard compressions.contains(where: { message.byte(at: $0) == 0 }) else { throw .compression }
        legacyVersion = version
        self.version = version
        self.sessionID = sessionID
        cipherSuites = TLSNumbers(suites)
        self.compressions = compressions
        extensions = TLSExtensions(try Self.extensionList(&cursor, in: message))
        try readExtensions(in: message)
        // The legacy version stays at TLS 1.2 in later ones, so that a later one is in a list or nowhere.
        let last: UInt16 = supportedVersions == nil ? 0x0303 : 0x0304
        guard 0x0301...last ~= self.version else { throw .version(self.version) }
    }

    /// The body of the message, which is all that is behind its header.
    private static func body(of message: RawSpan) throws(TLSError) -> TLSCursor {
        guard let type = message.byte(at: 0) else { throw .truncated }
        guard type == handshakeType else { throw .handshakeType(type) }
        guard let word = message.network32(at: 0) else { throw .truncated }
        let total = headerLength + Int(word & 0xff_ffff)
        guard total <= message.byteCount else { throw .truncated }
        guard total == message.byteCount else { throw .trailing }
        return TLSCursor(headerLength..<total)
    }

    /// Where the extensions are: a ClientHello before TLS 1.2 may end without them.
    private static func extensionList(_ cursor: inout TLSCursor, in message: RawSpan) throws(TLSError) -> Range<Int> {
        guard !cursor.isAtEnd else { return cursor.offset..<cursor.end }
        guard let list = cursor.vector16(in: message) else { throw .truncated }
        guard cursor.isAtEnd else { throw .trailing }
        return list
    }

    private mutating func readExtensions(in message: RawSpan) throws(TLSError) {
        var walk = extensions
        var types = TLSExtensionTypes()
        var last: UInt16?
        while let found = walk.next(in: message) {
            guard last != TLSExtensionType.preSharedKey else { throw .preSharedKeyNotLast }
            try types.insert(found.type)
            guard take(found, in: message) else { throw .extension(found.type) }
            last = found.type
        }
        guard walk.isAtEnd else { throw .truncated }
        extensionCount = types.count
    }

    /// Keeps what an extension says; false when it is malformed.
    private mutating func take(_ found: TLSExtensions.Extension, in message: RawSpan) -> Bool {
        switch found.type {
        case TLSExtensionType.serverName: return takeServerNames(found.data, in: message)
        case TLSExtensionType.signatureAlgorithms: return takeSignatureAlgorithms(found.data, in: message)
        case TLSExtensionType.protocols: return takeProtocols(found.data, in: message)
        case TLSExtensionType.supportedVersions: return takeVersions(found.data, in: message)
        case TLSExtensionType.encryptedHello: hasEncryptedHello = true
        case TLSExtensionType.encryptedName: hasEncryptedName = true
        default: break
        }
        return true
    }
}
