/// A field of HTTP/2: its name and value as bytes, which may be any.
package struct HPACKField: Hashable, Sendable {
    package let name: [UInt8]
    package let value: [UInt8]

    package init(name: [UInt8], value: [UInt8]) {
        self.name = name
        self.value = value
    }

    /// What it counts in a table (RFC 7541 §4.1).
    var size: Int { name.count + value.count + 32 }
}
