internal import CNetfilter
package import Model

/// A tracked connection, by its original direction.
package struct Connection: Hashable, Sendable {
    package var transport: Transport
    package var source: IPAddress
    package var sourcePort: UInt16
    package var destination: IPAddress
    package var destinationPort: UInt16
    /// Where its packets go: another address than the one asked for when somebody translates it.
    package var target: IPAddress
    package var targetPort: UInt16
    /// The connection mark (``Stamp``).
    package var mark: UInt32
}

/// Reads and re-stamps tracked connections (ctnetlink).
package final class ConnectionTable {
    private let socket: Int32
    /// Told when the kernel could not be asked: what was to be done may be undone, what was looked for may be there.
    package var onFailure: (NetfilterError) -> Void = { _ in }

    package init() throws(NetfilterError) {
        self.socket = try check(enf_open(12, 4 << 20), "opening a conntrack socket")
    }

    deinit { enf_close(socket) }

    /// The connections whose mark, under the mask, has this value.
    package func list(mark: UInt32, mask: UInt32) throws(NetfilterError) -> [Connection] {
        var list = List()
        // AF_UNSPEC: both families in one walk of the table.
        let result = unsafe withUnsafeMutablePointer(to: &list) { pointer in
            unsafe enf_flow_dump(socket, 0, mark, mask, pointer) { context, flow in
                unsafe context?.assumingMemoryBound(to: List.self).pointee.connections.append(
                    ConnectionTable.read(flow.pointee),
                )
            }
        }
        // An interrupted dump has what did not change meanwhile; what changed is judged by its own packets.
        if result != -4 { try check(result, "listing connections") }
        return list.connections
    }

    /// Gives a connection another mark; false when it is gone.
    @discardableResult
    package func restamp(_ connection: Connection, mark: UInt32) -> Bool {
        restamp(
            connection.transport,
            from: (connection.source, connection.sourcePort),
            to: (connection.destination, connection.destinationPort),
            mark: mark,
        )
    }

    /// The same of the connection that was opened from one address and port to another, or is known to this host as that: a
    /// service's address is another before it is translated.
    @discardableResult
    package func restamp(
        _ transport: Transport,
        from: (IPAddress, UInt16),
        to: (IPAddress, UInt16),
        mark: UInt32,
    ) -> Bool {
        var flow = Self.flow(transport, from: from, to: to)
        var reply = Self.flow(transport, from: to, to: from)
        if isDone(onFailure, unsafe enf_flow_set_mark(socket, &flow, false, mark), "marking a connection") {
            return true
        }
        return isDone(onFailure, unsafe enf_flow_set_mark(socket, &reply, true, mark), "marking a connection")
    }

    /// The connection whose replies go from one address and port to another; nil when there is none.
    ///
    /// A server asks with its own end first: the connection found has the destination that the client asked for, which
    /// after a redirection is not the server's.
    package func find(
        transport: Transport,
        replyFrom: (IPAddress, UInt16),
        to: (IPAddress, UInt16),
    ) -> Connection? {
        guard replyFrom.0.isV4 == to.0.isV4 else { return nil }
        var reply = Self.flow(transport, from: replyFrom, to: to)
        var found = enf_flow()
        guard isDone(onFailure, unsafe enf_flow_find(socket, &reply, &found), "looking for a connection") else {
            return nil
        }
        return Self.read(found)
    }

    /// How full the kernel's table is.
    package func limits() throws(NetfilterError) -> ConnectionLimits {
        var limits = enf_flow_limits()
        try check(unsafe enf_flow_limits(socket, &limits), "asking how full the connection table is")
        return ConnectionLimits(entries: limits.entries, limit: limits.limit, dropped: limits.dropped)
    }

    private static func flow(
        _ transport: Transport,
        from: (IPAddress, UInt16),
        to: (IPAddress, UInt16),
    ) -> enf_flow {
        var flow = enf_flow()
        flow.family = from.0.isV4 ? 2 : 10
        flow.protocol = transport.number
        flow.source_port = from.1
        flow.destination_port = to.1
        let (source, destination) = (from.0.bytes, to.0.bytes)
        unsafe withUnsafeMutableBytes(of: &flow.source) { unsafe $0.copyBytes(from: source) }
        unsafe withUnsafeMutableBytes(of: &flow.destination) { unsafe $0.copyBytes(from: destination) }
        return flow
    }

    private struct List {
        var connections: [Connection] = []
    }

    private static func read(_ flow: enf_flow) -> Connection {
        Connection(
            transport: Transport(number: flow.protocol),
            source: NetlinkAddress.read(flow.source, isV4: flow.family == 2),
            sourcePort: flow.source_port,
            destination: NetlinkAddress.read(flow.destination, isV4: flow.family == 2),
            destinationPort: flow.destination_port,
            target: NetlinkAddress.read(flow.target, isV4: flow.family == 2),
            targetPort: flow.target_port,
            mark: flow.mark,
        )
    }
}
