internal import Model
internal import Netfilter
internal import Ruleset

/// What conntrack knows of the connections of this host's sockets, found by the socket.
struct TrackedConnections {
    /// What the other end opened, as the socket that it reached knows it: others may have translated this host's address.
    private struct Arrival: Hashable {
        let transport: Transport
        let source: IPAddress
        let sourcePort: UInt16
        let port: UInt16
    }

    private var opened: [Ends: Connection] = [:]
    private var arrived: [Arrival: Connection] = [:]

    init(_ connections: [Connection]) {
        for connection in connections {
            opened[Ends(connection)] = connection
            guard connection.isInbound else { continue }
            let arrival = Arrival(
                transport: connection.transport,
                source: connection.source,
                sourcePort: connection.sourcePort,
                port: connection.targetPort,
            )
            arrived[arrival] = connection
        }
    }

    /// The connection that the socket opened.
    func opened(by socket: SocketInfo) -> Connection? { opened[Ends(ofLocal: socket)] }

    /// The connection that the other end opened to the socket, with the stamp that says so.
    func arrived(at socket: SocketInfo) -> Connection? {
        arrived[
            Arrival(
                transport: socket.transport,
                source: socket.remote,
                sourcePort: socket.remotePort,
                port: socket.localPort,
            )
        ]
    }

    /// Where the packets of a socket go, as they are judged: after others have translated what the program asked for.
    func remote(of socket: SocketInfo) -> Destination {
        opened(by: socket)?.judged
            ?? Destination(address: socket.remote, port: socket.remotePort, transport: socket.transport)
    }
}

/// Both ends of a flow, as its opener sees them.
struct Ends: Hashable {
    var transport: Transport
    var source: IPAddress
    var sourcePort: UInt16
    var destination: IPAddress
    var destinationPort: UInt16

    init(_ connection: Connection) {
        transport = connection.transport
        source = connection.source
        sourcePort = connection.sourcePort
        destination = connection.destination
        destinationPort = connection.destinationPort
    }

    init(ofLocal socket: SocketInfo) {
        transport = socket.transport
        source = socket.local
        sourcePort = socket.localPort
        destination = socket.remote
        destinationPort = socket.remotePort
    }

    var turned: Ends {
        var turned = self
        (turned.source, turned.destination) = (destination, source)
        (turned.sourcePort, turned.destinationPort) = (destinationPort, sourcePort)
        return turned
    }
}

extension Connection {
    /// The destination that its packets are judged by.
    var judged: Destination { Destination(address: target, port: targetPort, transport: transport) }

    /// Whether somebody else opened it.
    var isInbound: Bool { UInt8(truncatingIfNeeded: mark) == Stamp.State.inbound.rawValue }

    var isInspecting: Bool { UInt8(truncatingIfNeeded: mark) == Stamp.State.inspecting.rawValue }

    /// Whether its first flight is awaited or was refused: it must not be taken for one that is open.
    var isUnproved: Bool {
        let state = Stamp.State(rawValue: UInt8(truncatingIfNeeded: mark))
        return state == .inspecting || state == .denied
    }
}
