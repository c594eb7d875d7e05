internal import CNetfilter
package import Model

/// A tracked connection, by its original direction.
package struct Connection: Hashable, Sendable {
    package var transport: Transport
    package var source: IPAddress
    package var sourcePort: UInt16
    package var destination: IPAddress
    package var destinationPort: UInt16
    /// The connection mark (``Stamp``).
    package var mark: UInt32
}

/// Reads and re-stamps tracked connections (ctnetlink).
package final class ConnectionTable {
    private let socket: Int32

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
        var flow = enf_flow()
        flow.family = connection.source.isV4 ? 2 : 10
        flow.protocol = connection.transport.number
        flow.source_port = connection.sourcePort
        flow.destination_port = connection.destinationPort
        let (source, destination) = (connection.source.bytes, connection.destination.bytes)
        unsafe withUnsafeMutableBytes(of: &flow.source) { unsafe $0.copyBytes(from: source) }
        unsafe withUnsafeMutableBytes(of: &flow.destination) { unsafe $0.copyBytes(from: destination) }
        return unsafe enf_flow_set_mark(socket, &flow, mark) == 0
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
            mark: flow.mark,
        )
    }
}
