/// The classes of DNS that matter here (RFC 1035 §3.2.4).
package enum DNSClass {
    /// IN.
    package static let internet: UInt16 = 1
    /// ANY, as a question only.
    package static let any: UInt16 = 255
}

/// What is asked (RFC 1035 §4.1.2).
package struct DNSQuestion: Hashable, Sendable {
    package var name: DNSName
    package var type: DNSType
    package var `class`: UInt16

    package init(name: DNSName, type: DNSType, class: UInt16 = DNSClass.internet) {
        self.name = name
        self.type = type
        self.class = `class`
    }
}
