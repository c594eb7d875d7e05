import Model
import Policy
import Ruleset

@testable import Broker

/// What must hold at every step.
extension Simulation {
    private func hasGrant(_ workload: String, _ destination: Destination) -> Bool {
        grants.values.contains { $0.workload == workload && $0.subject == .address(destination) }
    }

    /// Whether the policies and grants let the process reach this.
    private func mayReach(_ process: Universe.Process, _ destination: Destination, byCgroupAlone: Bool = false) -> Bool
    {
        if settings.observesOnly { return true }
        let path = Universe.paths[process.place]
        if path == settings.daemonCgroup {
            return settings.upstreams.contains(destination)
        }
        switch policies.identify(cgroup: path, uid: byCgroupAlone ? nil : process.uid) {
        case .unidentified: return settings.unidentified != .deny
        case .wrongUser, .ambiguous: return false
        case .workload(let name):
            guard let workload = policies[name] else { return false }
            let decision = workload.decide(
                Question(
                    destination: destination,
                    executable: process.executable,
                    executableIsCertain: process.isCertain,
                ),
            )
            if decision.verdict == .allow { return true }
            if decision.reason == .unknownDestination, workload.unknown == .observe { return true }
            return (decision.reason == .unknownDestination || decision.reason == .wrongExecutable)
                && hasGrant(name, destination)
        }
    }

    /// Whose a socket is that is reached: by its cgroup and user, or by its cgroup alone as the maps know it.
    private func receivers(_ process: Universe.Process) -> [Identification] {
        let path = Universe.paths[process.place]
        if path == settings.daemonCgroup { return [.wrongUser("egressd")] }
        return [policies.identify(cgroup: path, uid: process.uid), policies.identify(cgroup: path, uid: nil)]
    }

    private func mayBeReached(_ process: Universe.Process, from peer: IPAddress, _ destination: Destination) -> Bool {
        if settings.observesOnly { return true }
        return receivers(process).contains { whose in
            switch whose {
            case .unidentified: true
            case .workload(let name):
                policies[name]?.admits(peer: peer, port: destination.port, transport: destination.transport) != nil
            case .wrongUser, .ambiguous: false
            }
        }
    }

    private func mayMeet(_ flow: Flow) -> Bool {
        if settings.observesOnly { return true }
        let (from, to) = (Universe.processes[flow.process], Universe.processes[flow.receiver])
        let fromPath = Universe.paths[from.place]
        let toPath = Universe.paths[to.place]
        if fromPath == settings.daemonCgroup, toPath == fromPath { return true }
        let sender = policies.identify(cgroup: fromPath, uid: from.uid)
        let whose = receivers(to)
        switch sender {
        case .workload where fromPath != settings.daemonCgroup:
            if whose.contains(sender) { return true }
        case .unidentified where fromPath != settings.daemonCgroup:
            return mayBeReached(to, from: flow.destination.address, flow.destination)
        default: break
        }
        return mayReach(from, flow.destination) && mayBeReached(to, from: flow.destination.address, flow.destination)
    }

    /// Called for every packet that goes on.
    mutating func judge(_ flow: Flow, _ packet: Packet, _ how: String) {
        let process = Universe.processes[flow.process]
        let may: Bool
        switch flow.kind {
        case .outbound: may = mayReach(process, flow.destination)
        case .forwarded: may = settings.observesOnly || settings.unidentified != .deny
        case .loopback: may = mayMeet(flow)
        case .inbound:
            let admitted =
                !flow.destination.transport.hasPorts
                || mayBeReached(process, from: flow.destination.address, flow.destination)
            // What the process may reach it may hear from. While an answer waits, the next packet from outside stamps the
            // connection by the cgroup alone.
            may =
                admitted
                || (packet.isReply || !packet.opensFlow)
                    && (mayReach(process, flow.destination) || mayReach(process, flow.destination, byCgroupAlone: true))
        }
        if !may { fail("let through by \(how): \(flow), \(process), \(Universe.paths[process.place]), \(packet)") }
    }

    mutating func check(_ what: String) {
        for error in kernel.errors { fail("\(what): \(error)") }
        guard failures.isEmpty else { return }
        let known = Set(broker.assignments.values.map(\.identity.number)).union([0, Identity.kernel.number])
        for name in kernel.sets.keys {
            guard
                [
                    "grants", "hosts", "current", "stamps", "denied", "knocks", "seen", "lately", "others", "floods",
                    "sieges",
                ].contains(where: name.hasPrefix)
            else { continue }
            for key in kernel.keys(name, at: now)
            where !known.contains(UInt16(key[2]) | UInt16(key[3]) << 8) {
                fail("\(name) has an element of nobody")
            }
        }
        for (name, elements) in kernel.intervals {
            for element in elements where !known.contains(UInt16(element.key[0]) << 8 | UInt16(element.key[1])) {
                fail("\(name) has an interval of nobody")
            }
        }
        checkGrants()
        for (key, _) in broker.windows where key.isInKernel && !kernel.keys(key.set, at: now).contains(key.element.key)
        {
            fail("the window \(key) has no element")
        }
    }

    private mutating func checkGrants() {
        var covered = 0
        for grant in broker.grants.values {
            guard let workload = policies[grant.workload], let assignment = broker.assignments[grant.workload],
                let destination = grant.subject.destination
            else { continue }
            let set = destination.address.isV4 ? "grants4" : "grants6"
            let key = Elements.request(assignment.identity, destination).key
            let isThere = kernel.keys(set, at: now).contains(key)
            covered += isThere ? 1 : 0
            let decision = workload.decide(Question(destination: destination))
            if isThere, decision.reason == .deniedByRule || decision.reason == .specialAddress {
                fail("grant \(grant.id) is in force though \(decision.reason.rawValue)")
            }
            if !isThere, now < grant.expiry, decision.reason == .unknownDestination {
                fail("grant \(grant.id) is not in force")
            }
        }
        let there = kernel.keys("grants4", at: now).count + kernel.keys("grants6", at: now).count
        if there > covered { fail("\(there) grants are in force, \(covered) are known") }
    }
}
