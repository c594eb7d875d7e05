import Model

extension DomainName {
    /// The name whose service this one stands for: `_ldap._tcp.example.org` is one of `example.org` (RFC 2782, RFC 9460
    /// §2.3); nil when it stands for none.
    ///
    /// At most two labels with an underscore are left out, each no longer than the name of a service may be (RFC 6335
    /// §5.1: 15 characters), so that little can be said by asking.
    var serviceBase: DomainName? {
        var rest = text.utf8[...]
        var left = 0
        while left < 2, rest.first == UInt8(ascii: "_"), let dot = rest.firstIndex(of: UInt8(ascii: ".")) {
            guard rest.distance(from: rest.startIndex, to: dot) <= 16 else { return nil }
            rest = rest[rest.index(after: dot)...]
            left += 1
        }
        return left == 0 ? nil : try? DomainName(String(Substring(rest)))
    }
}
