import Model
import Ruleset

/// A connection of the simulation, with the mark that connection tracking keeps for it.
struct Flow {
    enum Kind {
        /// From a process of this host to another host.
        case outbound
        /// From another host to a process of this host.
        case inbound
        /// From a process of this host to another one.
        case loopback
        /// From another host to another host.
        case forwarded
    }

    let kind: Kind
    /// What the opening packet asks for: for `inbound`, the peer and the local port.
    let destination: Destination
    /// The other port.
    let otherPort: UInt16
    /// The process that sends, or for `inbound` receives.
    let process: Int
    /// The receiving process of `loopback`.
    let receiver: Int
    var mark: UInt32 = 0
    /// Connection tracking keeps it: a packet of it went on.
    var isConfirmed = false

    var identity: UInt32 { mark & Stamp.identityMask }
}

/// A packet of a flow that waits in a queue, or for its turn.
struct Packet {
    let flow: Int
    let opensFlow: Bool
    /// An answer of the process to what came from outside.
    let isReply: Bool
    /// It has data, or ends the connection.
    var isBare = true
    /// The mark of a connection that is not confirmed: every first packet has its own.
    var mark: UInt32 = 0
    var kind = Layout.Question.sender
    /// How often it was asked about.
    var rounds = 0
    /// An event told of it as let through.
    var toldAllowed = false
    /// How many events told of it as refused.
    var toldRefused: UInt64 = 0
    var isDelivered = false
    /// How many reloads there had been when it was asked about.
    var reloads = 0
}

/// What becomes of a packet in the chains.
enum Fate {
    case accepted(how: String)
    case refused(Refuser)
    case logged(LoggedKind, how: String)
    /// As a frame that no socket sent.
    case injected
    case asked(Layout.Question)
    /// By nothing that anybody counts.
    case vanished(String)

    enum LoggedKind { case allowed, inbound }

    enum Refuser {
        /// An element that counts.
        case element
        /// The answer to one attempt.
        case answer
        /// The state of a connection that was refused before.
        case state
    }
}
