package import Model

/// A part of a packet or of its surroundings that a rule can look at.
///
/// Fields side by side are a concatenation.
package enum Field: Hashable, Sendable {
    /// The cgroup v2 id of the packet's socket, at this depth below the root.
    case cgroup(level: UInt32)
    /// The user of the packet's socket.
    case uid
    /// The connection mark's bits under a mask.
    case mark(mask: UInt32)
    case source(Family)
    case destination(Family)
    case transport
    case sourcePort
    case destinationPort

    /// The two families of an `inet` table.
    package enum Family: Hashable, Sendable, CaseIterable {
        case v4, v6
    }
}

/// One condition of a rule.
package enum Match: Hashable, Sendable {
    case nfproto(Field.Family)
    /// The IP header has no options, or IPv6 no extension header before TCP's.
    case plainHeader(Field.Family)
    case transport(Transport)
    /// The fields are an element of a set.
    case member([Field], set: String)
    case mark(mask: UInt32, equals: UInt32)
    case markNot(mask: UInt32, UInt32)
    case tcpFlags(mask: UInt8, equals: UInt8)
    case tcpFlagsNot(mask: UInt8, UInt8)
    /// The TCP header's length in 32-bit words.
    case tcpHeader(words: UInt8)
    /// The length of the whole packet in bytes.
    case length(UInt32)
    /// A set of `NF_CT_STATE_BIT`s.
    case state(Set<ConnectionState>)
    case replyDirection
    /// The connection's destination is not the one that the program asked for.
    case translated
    case fromLoopback
    case toLoopback
    case notToLoopback
    /// The packet has a socket that some process holds.
    case owned
    /// The packet's socket is in a cgroup at least this deep.
    case cgroupExists(level: UInt32)
    case ports(source: UInt16, destination: UInt16)
    case destination(IPAddress)
    /// Of a transport with ports, which another condition must say.
    case destinationPort(UInt16)

    package enum ConnectionState: UInt32, Hashable, Sendable {
        // include/uapi/linux/netfilter/nf_conntrack_common.h: NF_CT_STATE_BIT and NF_CT_STATE_UNTRACKED_BIT.
        case invalid = 1
        case new = 8
        case established = 2
        case related = 4
        case untracked = 64
    }
}

/// What a rule does when all its matches hold.
package enum Action: Hashable, Sendable {
    case accept
    case drop
    case goto(String)
    case jump(String)
    /// The verdict that a map has for the fields.
    case verdictMap([Field], map: String)
    case setMark(UInt32)
    /// Keeps the bits under a mask and sets others.
    case setMarkBits(keep: UInt32, or: UInt32)
    /// Sets the connection mark to what a map has for the fields; without an element the rule ends.
    case setMarkFromMap([Field], map: String)
    /// Sets the packet's mark to the connection's.
    case setPacketMarkFromConnection
    /// Sends the connection to this port of the host itself: 127.0.0.1 or ::1 (a nat chain of the output hook).
    case redirect(port: UInt16)
    case queue(UInt16)
    case log(group: UInt16, prefix: String?)
    case rejectReset
    case rejectProhibited
}

/// One rule: its conditions in order, then what it does.
package struct RuleLine: Hashable, Sendable {
    package let matches: [Match]
    package let actions: [Action]

    package init(_ matches: Match..., then actions: Action...) {
        self.matches = matches
        self.actions = actions
    }

    package init(_ matches: [Match], then actions: [Action]) {
        self.matches = matches
        self.actions = actions
    }
}

/// A chain; a base chain when it has a hook.
package struct ChainDefinition: Hashable, Sendable {
    package enum Hook: Int32, Hashable, Sendable {
        // include/uapi/linux/netfilter.h: NF_INET_LOCAL_IN, NF_INET_FORWARD, NF_INET_LOCAL_OUT,
        // NF_INET_POST_ROUTING.
        case input = 1
        case forward = 2
        case output = 3
        case postrouting = 4
    }

    package enum Kind: String, Hashable, Sendable {
        case filter
        /// Sees the first packet of a connection alone, and may translate its addresses.
        case nat
    }

    package let name: String
    package let kind: Kind
    package let hook: Hook?
    package let priority: Int32
    /// What a base chain does with what none of its rules settled.
    package let dropsByDefault: Bool
    package let rules: [RuleLine]

    package init(_ name: String, _ rules: [RuleLine]) {
        self.name = name
        self.kind = .filter
        self.hook = nil
        self.priority = 0
        self.dropsByDefault = false
        self.rules = rules
    }

    package init(
        _ name: String,
        kind: Kind = .filter,
        hook: Hook,
        priority: Int32,
        dropsByDefault: Bool,
        _ rules: [RuleLine],
    ) {
        self.name = name
        self.kind = kind
        self.hook = hook
        self.priority = priority
        self.dropsByDefault = dropsByDefault
        self.rules = rules
    }
}
