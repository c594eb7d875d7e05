import CLinux
package import Model

/// Where a socket of the internet family is or goes to: an address and a port.
///
/// An IPv6 address has no zone, so link-local addresses are of no use here.
package struct SocketAddress: Hashable, Sendable {
    package var address: IPAddress
    package var port: UInt16

    package init(_ address: IPAddress, port: UInt16) {
        self.address = address
        self.port = port
    }
}

extension SocketAddress: CustomStringConvertible {
    /// `127.0.0.1:53`, `[::1]:53`.
    package var description: String { address.isV4 ? "\(address):\(port)" : "[\(address)]:\(port)" }
}

extension SocketAddress {
    init(_ endpoint: clx_endpoint) {
        let bits = UInt128(endpoint.high) << 64 | UInt128(endpoint.low)
        address = endpoint.is_v6 ? IPAddress(wire: bits) : .v4(UInt32(truncatingIfNeeded: bits))
        port = endpoint.port
    }

    var endpoint: clx_endpoint {
        clx_endpoint(
            high: UInt64(truncatingIfNeeded: address.bits >> 64),
            low: UInt64(truncatingIfNeeded: address.bits),
            port: port,
            is_v6: !address.isV4,
        )
    }

    /// Where a socket is bound.
    init(of socket: Int32) throws(Errno) {
        var endpoint = clx_endpoint()
        try Errno.check(unsafe clx_local_endpoint(socket, &endpoint))
        self.init(endpoint)
    }
}
