internal import CNetfilter
package import Model

/// A socket of some process, as sock_diag tells of it.
package struct SocketInfo: Hashable, Sendable {
    package var transport: Transport
    package var local: IPAddress
    package var localPort: UInt16
    package var remote: IPAddress
    package var remotePort: UInt16
    package var uid: UInt32
    /// The inode that `/proc/PID/fd` names; 0 for a socket that no process holds.
    package var inode: UInt64
    /// The id of the cgroup in which the socket was made; 0 when the kernel does not tell.
    package var cgroup: UInt64
    /// A TCP state of include/net/tcp_states.h.
    package var state: UInt8
    /// Whether it has a connection that carries data, or has carried some: not in SYN_SENT, SYN_RECV, TIME_WAIT, CLOSE and
    /// LISTEN.
    package var isConnected: Bool { [1, 4, 5, 8, 9, 11].contains(state) }
    /// Whether its peer has not answered yet (SYN_SENT).
    package var isConnecting: Bool { state == 2 }
    /// The number that the kernel gives no other socket until the next boot.
    package var id: UInt64 { UInt64(cookie[1]) << 32 | UInt64(cookie[0]) }
    fileprivate var cookie: [UInt32]
    /// The index of the device that it is bound to; 0 for none.
    package var device: UInt32
    /// Whether the kernel keeps it as an IPv6 socket, which an IPv4 connection may be too.
    fileprivate var isV6: Bool
}

/// Finds, lists and destroys the sockets of other processes (sock_diag).
package final class SocketTable {
    let socket: Int32
    /// Told when the kernel could not be asked: what was looked for may be there all the same.
    package var onFailure: (NetfilterError) -> Void = { _ in }

    package init() throws(NetfilterError) {
        // NETLINK_SOCK_DIAG of include/uapi/linux/netlink.h.
        self.socket = try check(enf_open(4, 4 << 20), "opening a sock_diag socket")
    }

    deinit { enf_close(socket) }

    private static let ipv4: UInt8 = 2
    private static let ipv6: UInt8 = 10

    /// The socket of a connection, or the one that a datagram from `remote` would reach; nil when there is none.
    ///
    /// `device` is the index of the one that its packets go out by: a socket that is bound to a device is found by no other.
    package func find(
        _ transport: Transport,
        local: IPAddress,
        _ localPort: UInt16,
        remote: IPAddress,
        _ remotePort: UInt16,
        device: UInt32,
    ) -> SocketInfo? {
        var endpoint = enf_endpoint()
        endpoint.family = local.isV4 ? Self.ipv4 : Self.ipv6
        endpoint.protocol = transport.number
        endpoint.local_port = localPort
        endpoint.remote_port = remotePort
        unsafe withUnsafeMutableBytes(of: &endpoint.local) { unsafe Self.copy(local, $0) }
        unsafe withUnsafeMutableBytes(of: &endpoint.remote) { unsafe Self.copy(remote, $0) }
        var found = enf_sock()
        guard isDone(onFailure, unsafe enf_sock_find(socket, &endpoint, device, &found), "looking for a socket") else {
            return nil
        }
        return Self.read(found)
    }

    /// The same, whatever device the socket is bound to, as far as only one can be meant.
    ///
    /// Goes through all sockets of the transport: for what `find` does not find.
    package func search(
        _ transport: Transport,
        local: IPAddress,
        _ localPort: UInt16,
        remote: IPAddress,
        _ remotePort: UInt16,
    ) -> SocketInfo? {
        guard localPort != 0, let all = try? list(transport, localPort: localPort) else { return nil }
        let own = all.filter { $0.local == local || Self.isAny($0.local) }
        let connected = own.filter { $0.remotePort == remotePort && $0.remote == remote }
        if let found = connected.first { return connected.count == 1 ? found : nil }
        let open = transport == .udp ? own.filter { $0.remotePort == 0 } : []
        return open.count == 1 ? open.first : nil
    }

    private static func isAny(_ address: IPAddress) -> Bool { address.bytes.allSatisfy { $0 == 0 } }

    /// All sockets of a transport whose state is in `states`, a set of bits `1 << state`; with `localPort` those of one port.
    package func list(
        _ transport: Transport,
        states: UInt32 = .max,
        localPort: UInt16 = 0,
    ) throws(NetfilterError) -> [SocketInfo] {
        var list = List()
        for family in [Self.ipv4, Self.ipv6] {
            let result = unsafe withUnsafeMutablePointer(to: &list) { pointer in
                unsafe enf_sock_dump(socket, family, transport.number, states, localPort, pointer) { context, sock in
                    unsafe context?.assumingMemoryBound(to: List.self).pointee.sockets.append(
                        SocketTable.read(sock.pointee),
                    )
                }
            }
            // An interrupted dump has what did not change meanwhile; what changed is judged by its own packets.
            guard result != -4 else { continue }
            try check(result, "listing sockets")
        }
        return list.sockets
    }

    /// Ends a connection: the program's next call fails with ECONNABORTED.
    ///
    /// False where the kernel cannot.
    @discardableResult
    package func destroy(_ info: SocketInfo) -> Bool {
        var sock = enf_sock()
        sock.endpoint.family = info.isV6 ? Self.ipv6 : Self.ipv4
        sock.endpoint.protocol = info.transport.number
        sock.endpoint.local_port = info.localPort
        sock.endpoint.remote_port = info.remotePort
        unsafe withUnsafeMutableBytes(of: &sock.endpoint.local) { unsafe Self.copy(info.local, $0, mapped: info.isV6) }
        unsafe withUnsafeMutableBytes(of: &sock.endpoint.remote) {
            unsafe Self.copy(info.remote, $0, mapped: info.isV6)
        }
        sock.interface = info.device
        sock.cookie = (info.cookie[0], info.cookie[1])
        return isDone(onFailure, unsafe enf_sock_destroy(socket, &sock), "ending a connection")
    }

    private struct List {
        var sockets: [SocketInfo] = []
    }

    private static func copy(_ address: IPAddress, _ bytes: UnsafeMutableRawBufferPointer, mapped: Bool = false) {
        let wire =
            mapped && address.isV4 ? [UInt8](repeating: 0, count: 10) + [255, 255] + address.bytes : address.bytes
        for (index, byte) in wire.enumerated() { unsafe bytes[index] = byte }
    }

    private static func read(_ sock: enf_sock) -> SocketInfo {
        SocketInfo(
            transport: Transport(number: sock.endpoint.protocol),
            local: NetlinkAddress.read(sock.endpoint.local, isV4: sock.endpoint.family == ipv4),
            localPort: sock.endpoint.local_port,
            remote: NetlinkAddress.read(sock.endpoint.remote, isV4: sock.endpoint.family == ipv4),
            remotePort: sock.endpoint.remote_port,
            uid: sock.uid,
            inode: UInt64(sock.inode),
            cgroup: sock.cgroup,
            state: sock.state,
            cookie: [sock.cookie.0, sock.cookie.1],
            device: sock.interface,
            isV6: sock.endpoint.family == ipv6,
        )
    }
}

/// Reads the 16-byte field that holds an address of either family.
enum NetlinkAddress {
    static func read<Bytes>(_ field: Bytes, isV4: Bool) -> IPAddress {
        unsafe withUnsafeBytes(of: field) { bytes in
            var value: UInt128 = 0
            for index in 0..<(isV4 ? 4 : 16) { value = value << 8 | UInt128(unsafe bytes[index]) }
            return isV4 ? .v4(UInt32(truncatingIfNeeded: value)) : IPAddress(wire: value)
        }
    }
}
