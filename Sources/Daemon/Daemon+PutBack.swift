internal import Broker
internal import Model
internal import Netfilter
internal import Ruleset
internal import System
internal import Wire

extension Daemon {
    /// The sets whose elements count what the kernel settled alone.
    private static let counting = ["denied", "knocks", "seen", "lately", "others"].flatMap { ["\($0)4", "\($0)6"] }

    /// Puts the table in force as it was before another tool changed it, with all that is in force now.
    ///
    /// In place no open connection notices; with `isAnew` nothing stays that others added. What was opened or answered
    /// meanwhile is judged again, first of all by who is connected. Gives the moment
    /// from which it was in force.
    func putBack(isAnew: Bool) throws(NetfilterError) -> Instant {
        // What was counted in a table that is gone is not known.
        let counted = Dictionary(uniqueKeysWithValues: Self.counting.map { ($0, (try? table.counts(of: $0)) ?? [:]) })
        let now = Clock.now()
        try table.install(layout, elements: broker.inForce(at: now), isAnew: isAnew)
        try table.setRedirecting(isRedirecting, of: layout)
        let end = Clock.now()
        perform(broker.lost(counted: counted, at: now))
        cutUnjudged()
        return end
    }

    /// Ends what workloads have open and nothing allows, whoever opened it and whatever its stamp says.
    ///
    /// Without a table connections have no stamp, and none of them may be tracked.
    private func cutUnjudged() {
        for transport in [Transport.tcp, .udp] {
            for socket in list(transport) where socket.remotePort != 0 {
                guard let identity = owner(socket), identity.isWorkload,
                    // Judged at the receiver, at its next packet, or by the resolver, question by question.
                    socket.local != socket.remote, !socket.remote.isLoopback, socket.remotePort != 53
                else { continue }
                let remote = Destination(address: socket.remote, port: socket.remotePort, transport: transport)
                guard broker.mayGoOn(identity, to: remote) == false,
                    !broker.mayGoOn(identity, from: socket.remote, port: socket.localPort, transport: transport),
                    sockets.destroy(socket)
                else { continue }
                var event = Event(time: Clock.wall(), kind: .request)
                event.verdict = .deny
                event.reason = .revoked
                event.workload = broker.assignments.first { $0.value.identity == identity }?.key
                event.destination = remote
                event.message = "it was open when the table was put back, and nothing allows it"
                append(event)
            }
        }
    }

    /// Whether one of these messages is about something in the table that is not of its layout, and stays unless the table
    /// is made anew.
    func isForeign(_ messages: [RulesetMessage]) -> Bool {
        let chains = Set((layout.chains + layout.redirecting).map(\.name))
        let sets = Set(layout.sets.map(\.name))
        return messages.contains { message in
            switch message.subject {
            case .object, .flowtable: true
            case .chain, .rule: !chains.contains(message.name)
            case .set, .element: !sets.contains(message.name)
            case .table, .generation: false
            }
        }
    }
}
