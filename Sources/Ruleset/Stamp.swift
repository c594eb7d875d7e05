/// The connection mark: who a connection belongs to and what was decided.
///
///      31            16 15        8 7         0
///     +----------------+-----------+-----------+
///     |    workload    | generation|   state   |
///     +----------------+-----------+-----------+
///
/// The workload's number names an identity (``Identity``); a connection whose generation is not the identity's current one
/// is judged anew at its next packet.
package struct Stamp: Hashable, Sendable {
    package enum State: UInt8, Hashable, Sendable {
        /// Nobody has decided yet.
        case new = 0
        case allowed = 1
        /// It may begin; its first flight must prove what it is.
        case inspecting = 2
        case denied = 4
        case observed = 5
        /// Somebody else opened it, to a socket that may be reached.
        case inbound = 6
    }

    package let identity: Identity
    package let generation: UInt8
    package let state: State

    package init(_ identity: Identity, generation: UInt8, _ state: State) {
        self.identity = identity
        self.generation = generation
        self.state = state
    }

    /// The 32 bits of the mark.
    package var mark: UInt32 {
        UInt32(identity.number) << 16 | UInt32(generation) << 8 | UInt32(state.rawValue)
    }

    package static let identityMask: UInt32 = 0xffff_0000
    package static let generationMask: UInt32 = 0xffff_ff00
}

/// Who a packet belongs to, as the kernel's rules know it: a number.
package struct Identity: Hashable, Sendable {
    package let number: UInt16

    package init(number: UInt16) { self.number = number }

    /// A process that no workload's identity matches.
    package static let unidentified = Identity(number: 1)
    /// The daemon itself.
    package static let daemon = Identity(number: 2)
    /// The kernel's own packets: no process holds their socket.
    package static let kernel = Identity(number: 3)
    /// Packets that are forwarded and have no local socket.
    package static let forwarded = Identity(number: 4)
    /// A user in a workload's cgroup whom the workload's identity does not name.
    package static let foreignUser = Identity(number: 5)
    /// The first number that a workload gets.
    package static let firstWorkload: UInt16 = 16

    /// The number in the place it has in the connection mark.
    package var mark: UInt32 { UInt32(number) << 16 }

    package var isWorkload: Bool { number >= Self.firstWorkload }
}
