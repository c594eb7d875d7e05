package import Model

/// The nameservers of `resolv.conf(5)`.
package enum ResolverFile {
    /// The addresses of the `nameserver` lines in their order; none when there is no such file.
    ///
    /// Those with a zone are left out: they mean nothing without their link. Throws why the file cannot be read.
    package static func nameservers(_ path: String) throws(PolicyErrors) -> [IPAddress] {
        let content: (bytes: [UInt8], stamp: FileStamp)
        do {
            content = try SmallFile.read(path, limit: 65_536)
        } catch {
            guard !error.isMissing else { return [] }
            let message =
                "cannot be read: \(error.message); make it readable, or name the servers with 'dns: {upstream: […]}'"
            throw PolicyErrors([PolicyFileError(file: path, message: message)])
        }
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
