import Model
import Policy
import Ruleset
import TestSupport

@testable import Broker

/// What happens besides packets.
extension Simulation {
    mutating func passTime() {
        let steps: [Instant.Span] = [
            Instant.Span(nanoseconds: 1), Instant.Span(nanoseconds: 700_000), .milliseconds(20), .seconds(1),
            .seconds(4),
            .seconds(11), .seconds(60),
        ]
        let step = random.pick(steps)
        // No packet waits unread for long.
        if step >= Instant.Span.seconds(1) {
            while waiting.values.contains(where: { !$0.isDelivered }), failures.isEmpty { deliver() }
        }
        now = now + step
        // A daemon that is busy comes late.
        guard !random.chance(15) else { return }
        note("tick")
        var actions = broker.tick(at: now)
        if random.chance(20) {
            // The kernel answers for a window later.
            let keys = actions.compactMap { if case .settle(let key) = $0 { key } else { nil } }
            lateSettles += keys.sorted { "\($0)" < "\($1)" }
            actions.removeAll { if case .settle = $0 { true } else { false } }
        }
        perform(actions, of: nil)
    }

    mutating func reload() {
        if random.chance(80) {
            let old = policies
            policies = Universe.policies(after: old, &random)
        }
        if random.chance(30) { settings = Universe.settings(&random) }
        reloads += 1
        note("reload \(policies.workloads.map { "\($0.name):\($0.unknown)" }) \(settings)")
        perform(broker.load(policies, settings, at: now), of: nil, isOrphan: true)
        let nothing = broker.load(policies, settings, at: now)
        if !nothing.isEmpty { fail("a reload of the same changes something: \(nothing)") }
    }

    mutating func approve() {
        let requests = broker.requestSummaries
        guard let request = requests.randomElement(using: &random) else { return }
        let spans: [Instant.Span] = [
            Instant.Span(nanoseconds: 1), Instant.Span(nanoseconds: 999_999), .seconds(3), .seconds(30), .seconds(7200),
        ]
        let duration = random.pick(spans)
        note("approve \(request.subject) of \(request.workload) for \(duration.nanoseconds)")
        let result = broker.approve(request: request.id, for: duration, reason: nil, actor: "root", at: now)
        if request.subject == .others {
            if case .success = result { fail("\(request) was approved") }
            return
        }
        guard let destination = request.subject.destination else { return fail("\(request) is of no destination") }
        let decision = policies[request.workload].map { $0.decide(Question(destination: destination)) }
        switch result {
        case .success(let (grant, actions)):
            grants[grant.id] = grant
            perform(actions, of: nil)
            if decision?.reason == .deniedByRule || decision?.reason == .specialAddress {
                fail("\(destination) was approved though \(decision?.reason.rawValue ?? "")")
            }
        case .failure(let error):
            if decision?.reason == .unknownDestination, request.kind == .request { fail("not approved: \(error)") }
        }
    }

    mutating func revoke() {
        guard let grant = grants.keys.sorted().randomElement(using: &random) else { return }
        note("revoke \(grant)")
        switch broker.revoke(grant: grant, reason: "enough", actor: "root", at: now) {
        case .success(let actions): perform(actions, of: nil)
        case .failure(let error): fail("grant \(grant) cannot be revoked: \(error)")
        }
    }

    mutating func loseCgroup() {
        let place = Int.random(in: 0..<cgroupIDs.count, using: &random)
        let gone = cgroupIDs[place]
        note("cgroup \(Universe.paths[place]) gone")
        // Its sockets are gone with it; what waits is answered for, and goes nowhere.
        for (number, flow) in flows
        where Universe.processes[flow.process].place == place || Universe.processes[flow.receiver].place == place {
            if waiting.values.contains(where: { $0.flow == number }) { return }
            flows[number] = nil
        }
        logged.removeAll { $0.local?.cgroup == gone }
        cgroupIDs[place] = nextCgroup
        nextCgroup += 1
        perform(broker.forget(cgroup: gone), of: nil)
        for set in ["workloads", "senders", "owners", "residents", "strangers"] {
            let key = Elements.member(cgroup: gone).key
            if kernel.keys(set, at: now).contains(where: { $0.starts(with: key) }) {
                fail("\(set) still knows the cgroup \(gone)")
            }
        }
    }
}
