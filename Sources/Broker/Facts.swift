internal import Inspection
package import Model
package import Ruleset
package import Wire

/// What is known for certain of one end of a connection: the socket's own cgroup and user.
package struct Facts: Hashable, Sendable {
    /// The id of the cgroup in which the socket was made, as the kernel's rules know it (`CgroupDepth`): of a deep one, its
    /// ancestor's.
    package var cgroup: UInt64
    /// The path of that, starting with a slash.
    package var path: String
    package var uid: UInt32?
    /// Whether the socket is connected to where the packet goes: what belongs to no connection proves nothing by claiming to.
    package var isConnected: Bool
    /// The index of the device that the socket is bound to; 0 for none.
    package var device: UInt32 = 0
    /// The process that holds the socket, as it was while the packet waited.
    package var process: ProcessRecord?
    /// The configured environment variables of the process.
    package var context: [String: String]

    package init(
        cgroup: UInt64,
        path: String,
        uid: UInt32?,
        isConnected: Bool = true,
        process: ProcessRecord? = nil,
        context: [String: String] = [:],
    ) {
        self.cgroup = cgroup
        self.path = path
        self.uid = uid
        self.isConnected = isConnected
        self.process = process
        self.context = context
    }
}

/// One packet that waits in a queue.
package struct PacketReference: Hashable, Sendable {
    package var queue: UInt16
    package var packet: UInt32

    package init(queue: UInt16, packet: UInt32) {
        self.queue = queue
        self.packet = packet
    }
}

/// A packet that the kernel asks about.
package struct PacketQuestion: Hashable, Sendable {
    package var kind: Layout.Question
    package var reference: PacketReference
    /// What is asked for.
    ///
    /// For a request from outside: the peer's address, and the local port it asks for; for what a server says: the server.
    package var destination: Destination
    /// The other port: the local one, or for a request from outside the peer's.
    package var otherPort: UInt16
    /// The address that asks: this host's, or for a request from outside the peer's.
    package var source: IPAddress
    /// Whether the packet opens a flow: a SYN, or any datagram.
    package var opensFlow: Bool
    /// What a request for a name asks for, in a packet to a name server.
    package var name: DomainName?
    /// The packet itself, when its payload is at hand too.
    package var packet: Packet?
    /// What its payload says, where it was looked at.
    var flight: Flight?
    /// The end that sends, when it is on this host.
    package var sender: Facts?
    /// The end that would receive, when it is on this host.
    package var receiver: Facts?
    /// The user of the sending socket as the queue tells it; nil when no process holds the socket.
    package var uid: UInt32?
    package var arrived: Instant

    package init(
        kind: Layout.Question,
        reference: PacketReference,
        destination: Destination,
        otherPort: UInt16,
        source: IPAddress,
        opensFlow: Bool,
        sender: Facts? = nil,
        receiver: Facts? = nil,
        uid: UInt32? = nil,
        arrived: Instant,
    ) {
        self.kind = kind
        self.reference = reference
        self.destination = destination
        self.otherPort = otherPort
        self.source = source
        self.opensFlow = opensFlow
        self.sender = sender
        self.receiver = receiver
        self.uid = uid
        self.arrived = arrived
    }
}

/// A packet that the kernel settled alone and tells of.
package struct LoggedPacket: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// The maps let it out.
        case allowed
        /// A `listen` rule let it in.
        case inbound
        /// A fixed rule refused it: a frame that a packet socket put on loopback.
        case injected
        /// A fixed rule refused it: a request for a name that its socket's device would have taken out of the host.
        case strayed
    }

    package var kind: Kind
    package var destination: Destination
    package var source: IPAddress
    package var opensFlow: Bool
    package var local: Facts?

    package init(kind: Kind, destination: Destination, source: IPAddress, opensFlow: Bool, local: Facts?) {
        self.kind = kind
        self.destination = destination
        self.source = source
        self.opensFlow = opensFlow
        self.local = local
    }
}
