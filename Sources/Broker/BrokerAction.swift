package import Model
package import Policy
package import Ruleset
package import Wire

/// What the daemon has to do.
///
/// Changes come into force before the answers of the same list are sent.
package enum BrokerAction: Hashable, Sendable {
    package enum Answer: Hashable, Sendable {
        case drop
        /// The packet meets the same rules again, and finds what the changes made.
        case again
        /// The packet passes, and nothing else of its connection.
        case pass
    }

    case change([ElementChange])
    /// As `change`, once the answers of the same list were sent.
    case changeAfter([ElementChange])
    /// Gives an open connection this stamp.
    ///
    /// The last value, here and below, is the device that its socket is bound to (0 for none), without which it is not found.
    case stamp(FlowKey, Stamp, UInt32)
    /// Ends an open connection: program and peer learn of it.
    case destroy(FlowKey, UInt32)
    /// As `destroy`, of one whose first flight did not come in time; answered with `expired`.
    case expire(FlowKey, UInt32)
    /// Replaces all elements of these sets by nothing.
    case clear([String])
    case answer(PacketReference, Answer)
    /// An event; when it is about a packet that waits, the answer to that comes next, but for changes in between.
    case record(Event)
    /// Removes the element of a window, and reports with `settled` how many packets it has met.
    case settle(Window.Key)
    /// Ends the connections of an identity to a destination, and judges anew what is left of them.
    case cut(Identity, generation: UInt8, Destination)
    /// Ends the connections of an identity that its policy no longer allows.
    case recheck(Identity)
    /// Takes the stamp off every connection of these cgroups' sockets, since they belong to another identity now.
    case unstamp([UInt64])
    /// Writes down that a grant is revoked or expired.
    case endGrant(Grant)
    case savePins([PinSummary], dropped: [PinSummary])
    /// Asks for a name again, on nobody's behalf, so that what it stands for is known before it is needed.
    case refresh(Identity, DNSQuestion)
    case saveAssignments([String: Assignment], removed: [String])
}

/// An operator's approval.
package struct Grant: Hashable, Sendable {
    package enum State: String, Sendable {
        case active, revoked, expired
    }

    package let id: Int64
    package let workload: String
    package let subject: Subject
    /// On which ports, for a name.
    package let ports: Set<ServicePort>
    /// What must be spoken there, for a name; nil where nobody said.
    package let application: ApplicationProtocol?
    package let granted: WallTime
    /// How long it was approved for.
    package let duration: Instant.Span
    /// When it ends, on the monotonic clock.
    package let expiry: Instant
    package let reason: String?
    /// Who approved it.
    package let actor: String
    package let request: Int64?
    package var state: State

    package init(
        id: Int64,
        workload: String,
        subject: Subject,
        ports: Set<ServicePort> = [],
        application: ApplicationProtocol? = nil,
        granted: WallTime,
        duration: Instant.Span,
        expiry: Instant,
        reason: String?,
        actor: String,
        request: Int64?,
        state: State = .active,
    ) {
        self.id = id
        self.workload = workload
        self.subject = subject
        self.ports = ports
        self.application = application
        self.granted = granted
        self.duration = duration
        self.expiry = expiry
        self.reason = reason
        self.actor = actor
        self.request = request
        self.state = state
    }

    /// What must be spoken over a transport: TLS and QUIC for a name where nobody said.
    package func application(over transport: Transport) -> ApplicationProtocol {
        guard subject.name != nil else { return .any }
        return application ?? (transport == .udp ? .quic : .tls)
    }
}

/// A while in which the kernel settles repetitions of one request itself, and counts them.
package struct Window: Hashable, Sendable {
    package enum Kind: Hashable, Sendable, CaseIterable {
        /// Refused on its way out.
        case denied
        /// Refused on its way in.
        case knock
        /// Let through by a rule of the policy, and already told of.
        case lately
        /// Let through by the maps for another reason, and already told of.
        case seen
        /// Refused, of a transport without ports.
        case other
        /// Refused, of no connection: counted by the broker alone.
        case unmarked
        /// Refused on its way out, whatever it asks for.
        case flood
        /// Refused on its way in, whatever it asks for.
        case siege
    }

    package struct Key: Hashable, Sendable {
        package let kind: Kind
        package let identity: Identity
        package let destination: Destination

        package init(_ kind: Kind, _ identity: Identity, _ destination: Destination) {
            self.kind = kind
            self.identity = identity
            self.destination = destination
        }

        /// A window for many destinations of one identity.
        package init(all kind: Kind, _ identity: Identity) {
            self.init(kind, identity, Self.anywhere)
        }

        private static let anywhere = Destination(address: .v4(0), port: 0, transport: Transport(number: 0))

        /// Whether it is for many destinations.
        package var isForMany: Bool { destination == Self.anywhere }

        /// Whether the kernel has an element for it that counts; else the broker counts alone.
        package var isInKernel: Bool { kind != .unmarked }

        /// The set that holds the element.
        package var set: String {
            let suffix = destination.address.isV4 ? "4" : "6"
            switch kind {
            case .denied, .unmarked: return "denied\(suffix)"
            case .knock: return "knocks\(suffix)"
            case .lately: return "lately\(suffix)"
            case .seen: return "seen\(suffix)"
            case .other: return "others\(suffix)"
            case .flood: return "floods"
            case .siege: return "sieges"
            }
        }

        /// The element itself.
        package var element: SetElement {
            switch kind {
            case .other: Elements.other(destination, Stamp(identity, generation: 0, .denied))
            case .flood, .siege: Elements.member(identity)
            default: Elements.request(identity, destination)
            }
        }
    }

    /// The event of the first attempt: what the count will be told with.
    var event: Event
    var closes: Instant
    /// Attempts that met no element and were dropped.
    var dropped: UInt64 = 0
    /// How many of the attempts that its element counts were told of already.
    var told: UInt64
    /// How often a packet of each port came back without having met the element.
    var returns: [UInt16: Int] = [:]
}

/// One line of what `ctl requests` shows.
package struct RequestSummary: Hashable, Sendable {
    package let id: Int64
    package let workload: String
    package let kind: Event.Kind
    package let subject: Subject
    package var count: UInt64
    package var first: WallTime
    package var last: WallTime
    package var verdict: Verdict
    package var reason: Reason
    package var process: ProcessRecord?
    package var finding: Finding?

    package init(
        id: Int64,
        workload: String,
        kind: Event.Kind,
        subject: Subject,
        count: UInt64,
        first: WallTime,
        last: WallTime,
        verdict: Verdict,
        reason: Reason,
        process: ProcessRecord?,
        finding: Finding?,
    ) {
        self.id = id
        self.workload = workload
        self.kind = kind
        self.subject = subject
        self.count = count
        self.first = first
        self.last = last
        self.verdict = verdict
        self.reason = reason
        self.process = process
        self.finding = finding
    }
}
