internal import Broker
internal import Control
internal import Model
internal import Policy
internal import Record
internal import Ruleset
internal import System

extension Daemon {
    /// The longest approval: a year.
    ///
    /// What is needed for longer belongs in the policy.
    private static let longestGrant: Int64 = longestDays * 86_400
    private static let longestDays: Int64 = 366

    func approve(_ call: ControlCall) {
        guard let request = call.parameters["request"]?.integer else { return call.fail(.invalidParameter("request")) }
        guard let seconds = call.parameters["seconds"]?.integer, seconds > 0 else {
            return call.fail(.invalidParameter("seconds"))
        }
        guard seconds <= Self.longestGrant else {
            let limit = "an approval lasts at most \(Self.longestDays) days"
            return call.fail(.invalidRequest(reason: "\(limit); what is needed for longer belongs in the policy"))
        }
        var ports: Set<ServicePort>?
        if let given = call.parameters["ports"]?.array {
            guard let read = ServicePort.read(given.compactMap(\.string)), given.allSatisfy({ $0.string != nil }) else {
                return call.fail(.invalidParameter("ports"))
            }
            ports = read
        }
        var application: ApplicationProtocol?
        if let text = call.parameters["protocol"]?.string {
            application = ApplicationProtocol(rawValue: text)
            guard application != nil else { return call.fail(.invalidParameter("protocol")) }
        }
        let before = broker
        let result = broker.approve(
            request: request,
            for: .seconds(seconds),
            ports: ports,
            application: application,
            reason: call.parameters["reason"]?.string,
            actor: actor(call.peer),
            at: Clock.now(),
        )
        switch result {
        case .failure(let error): fail(call, error)
        case .success((let grant, let actions)):
            do {
                _ = try store.insertGrant(Self.row(grant))
            } catch {
                // What would be forgotten by a restart is not approved; an approval that it was to take the place of stays.
                Log.error("storing grant \(grant.id): \(error)")
                broker = before
                broker.skipGrant(grant.id)
                // The disk may have it all the same.
                store.setGrantsLater([grant.id], to: .revoked)
                return call.fail(.invalidRequest(reason: "not approved: the approval cannot be stored: \(error)"))
            }
            saveGrantTimes()
            let failures = troubles.failures
            perform(actions)
            guard troubles.failures > failures else {
                let replaced = actions.compactMap(\.endedGrant)
                let numbers = replaced.isEmpty ? nil : JSON.array(replaced.sorted().map { .integer($0) })
                return call.reply(JSON(present: ["grant": describe(grant), "replaces": numbers]))
            }
            // Who approves is told that it is in force when it is.
            let problem = "the kernel did not take it just now"
            guard !actions.contains(where: { $0.endedGrant != nil }) else {
                // The one whose place it took has ended: without both, what is open would be cut.
                let text = "grant \(grant.id) is stored, and not in force yet: \(problem), and is asked again"
                return call.fail(.invalidRequest(reason: "\(text); 'egressd ctl status' says why"))
            }
            if case .success(let undo) = broker.revoke(
                grant: grant.id,
                reason: problem,
                actor: "egressd",
                at: Clock.now()
            ) {
                perform(undo)
            }
            call.fail(.invalidRequest(reason: "not approved: \(problem); 'egressd ctl status' says why"))
        }
    }

    func revoke(_ call: ControlCall) {
        guard let id = call.parameters["grant"]?.integer else { return call.fail(.invalidParameter("grant")) }
        let reason = call.parameters["reason"]?.string
        switch broker.revoke(grant: id, reason: reason, actor: actor(call.peer), at: Clock.now()) {
        case .failure(let error): fail(call, error)
        case .success(let actions):
            warnings["grants"] = nil
            perform(actions)
            guard let problem = warnings["grants"] else { return call.reply() }
            call.fail(
                .invalidRequest(reason: "revoked and cut, but a start before it is stored brings it back: \(problem)")
            )
        }
    }

    func fail(_ call: ControlCall, _ error: GrantError) {
        switch error {
        case .noRequest, .noGrant: call.fail(.notFound(what: error.description))
        default: call.fail(.invalidRequest(reason: error.description))
        }
    }
}

extension BrokerAction {
    /// The number of the grant that it ends.
    fileprivate var endedGrant: Int64? { if case .endGrant(let grant) = self { grant.id } else { nil } }
}
