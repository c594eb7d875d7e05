/// The extensions that are looked into, by their numbers (IANA "TLS ExtensionType Values").
enum TLSExtensionType {
    static let serverName: UInt16 = 0
    static let signatureAlgorithms: UInt16 = 13
    /// `application_layer_protocol_negotiation`.
    static let protocols: UInt16 = 16
    static let preSharedKey: UInt16 = 41
    static let supportedVersions: UInt16 = 43
    /// `encrypted_client_hello` (draft-ietf-tls-esni-25 §5).
    static let encryptedHello: UInt16 = 0xfe0d
    /// `encrypted_server_name` (draft-ietf-tls-esni-06 and before).
    static let encryptedName: UInt16 = 0xffce
}
