package import Model

/// The nameservers of `resolv.conf(5)`.
package enum ResolverFile {
    /// The addresses of the `nameserver` lines in their order; none when the file cannot be read.
    ///
    /// Those with a zone are left out: they mean nothing without their link.
    package static func nameservers(_ path: String) -> [IPAddress] {
        guard let content = try? SmallFile.read(path, limit: 65_536) else { return [] }
        var addresses: [IPAddress] = []
        for line in content.bytes.split(separator: UInt8(ascii: "\n")) {
            let words = line.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "\r") }
            guard words.count >= 2, words[0].elementsEqual("nameserver".utf8),
                let address = IPAddress(String(decoding: words[1], as: UTF8.self)), !addresses.contains(address)
            else { continue }
            addresses.append(address)
        }
        return addresses
    }
}
