package import Model
package import Policy

/// A workload's place in the kernel: its number, and which generation of its policy is in force.
package struct Assignment: Hashable, Sendable {
    package var identity: Identity
    package var generation: UInt8

    package init(identity: Identity, generation: UInt8) {
        self.identity = identity
        self.generation = generation
    }

    package func stamp(_ state: Stamp.State) -> Stamp { Stamp(identity, generation: generation, state) }
}

/// Compiles values of the policy into elements of the table.
package enum Elements {
    /// A box with no more ports than this is written as single hosts, which cost nothing to change.
    static let singleHostPorts = 16

    /// What makes an assignment known: which stamps are valid, and the stamp that a judged connection gets.
    package static func assignment(_ assignment: Assignment) -> [ElementChange] {
        var stamp = Key(capacity: 4)
        stamp.host(assignment.identity.mark)
        let current = [Stamp.State.allowed, .observed, .inbound].map { state in
            var key = Key(capacity: 4)
            key.host(assignment.stamp(state).mark)
            return SetElement(key: key.bytes)
        }
        return [
            ElementChange(set: "current", add: current),
            ElementChange(
                set: "stamps",
                add: [SetElement(key: stamp.bytes, data: .mark(assignment.stamp(.allowed).mark))],
            ),
        ]
    }

    /// What a workload's policy lets through: its single hosts, its ranges, and who may reach it.
    package static func policy(of workload: Workload, identity: Identity) -> [ElementChange] {
        var changes: [String: [SetElement]] = [:]
        let shard = Layout.shard(of: identity)
        for box in Boxes.outbound(of: workload) {
            let suffix = box.lower.isV4 ? "4" : "6"
            if box.lower == box.upper, box.ports.count <= singleHostPorts {
                for port in box.ports.lower...box.ports.upper {
                    let destination = Destination(address: box.lower, port: port, transport: box.transport)
                    changes["hosts\(suffix)", default: []].append(request(identity, destination))
                }
            } else {
                changes["rules\(suffix)_\(shard)", default: []].append(interval(identity, box))
            }
        }
        for box in Boxes.inbound(of: workload) {
            let suffix = box.lower.isV4 ? "4" : "6"
            changes["listen\(suffix)_\(shard)", default: []].append(interval(identity, box))
        }
        return changes.map { ElementChange(set: $0.key, add: $0.value) }.sorted { $0.set < $1.set }
    }

    /// An element that is found by who asks and for what.
    package static func request(_ identity: Identity, _ destination: Destination, timeout: UInt64 = 0) -> SetElement {
        SetElement(key: requestKey(identity, destination).bytes, timeout: timeout)
    }

    /// As `request`, with the stamp that the connection gets.
    package static func lately(_ destination: Destination, _ stamp: Stamp) -> SetElement {
        SetElement(key: requestKey(stamp.identity, destination).bytes, data: .mark(stamp.mark))
    }

    /// As `request`, of one attempt: with the port of this host's side, and the stamp that is the broker's answer.
    package static func attempt(
        _ destination: Destination,
        localPort: UInt16,
        _ answer: Stamp,
        timeout: UInt64,
    ) -> SetElement {
        var key = requestKey(answer.identity, destination)
        key.port(localPort)
        return SetElement(key: key.bytes, data: .mark(answer.mark), timeout: timeout)
    }

    /// An element for a transport without ports, with the stamp that is the broker's answer.
    package static func other(_ destination: Destination, _ answer: Stamp) -> SetElement {
        var key = Key()
        key.host(answer.identity.mark)
        key.address(destination.address)
        key.transport(destination.transport)
        return SetElement(key: key.bytes, data: .mark(answer.mark))
    }

    /// What the kernel knows of a cgroup and a user: which identity sends, and which stamps are its own.
    package static func sender(cgroup: UInt64, uid: UInt32, _ assignment: Assignment) -> [ElementChange] {
        var sender = Key(capacity: 12)
        sender.host(cgroup)
        sender.host(uid)
        var own = sender
        own.host(assignment.stamp(.new).mark)
        return [
            ElementChange(
                set: "workloads",
                add: [SetElement(key: sender.bytes, data: .mark(assignment.stamp(.new).mark))],
            ),
            ElementChange(set: "senders", add: [SetElement(key: own.bytes)]),
        ]
    }

    /// What the kernel knows of a cgroup whose sockets are reached: whose they are.
    package static func receiver(cgroup: UInt64, _ assignment: Assignment) -> [ElementChange] {
        var key = Key(capacity: 8)
        key.host(cgroup)
        // What belongs to nobody may be reached; what belongs to a workload is judged.
        let stamp = assignment.stamp(assignment.identity == .unidentified ? .inbound : .new)
        var changes = [
            ElementChange(set: "owners", add: [SetElement(key: key.bytes, data: .mark(stamp.mark))])
        ]
        if assignment.identity == .unidentified {
            changes.append(ElementChange(set: "strangers", add: [SetElement(key: key.bytes)]))
        } else if assignment.identity != .foreignUser {
            // What no workload's identity names shares a number, not a workload.
            var resident = key
            resident.host(assignment.identity.mark)
            changes.append(ElementChange(set: "residents", add: [SetElement(key: resident.bytes)]))
        }
        return changes
    }

    /// The element for a set of identities.
    package static func member(_ identity: Identity) -> SetElement {
        var key = Key(capacity: 4)
        key.host(identity.mark)
        return SetElement(key: key.bytes)
    }

    /// The element for a set of cgroups.
    package static func member(cgroup: UInt64) -> SetElement {
        var key = Key(capacity: 8)
        key.host(cgroup)
        return SetElement(key: key.bytes)
    }

    private static func requestKey(_ identity: Identity, _ destination: Destination) -> Key {
        var key = Key()
        key.host(identity.mark)
        key.address(destination.address)
        key.transport(destination.transport)
        key.port(destination.port)
        return key
    }

    private static func interval(_ identity: Identity, _ box: Box) -> SetElement {
        func bound(_ address: IPAddress, _ port: UInt16) -> [UInt8] {
            var key = Key()
            key.network(identity.mark)
            key.address(address)
            key.transport(box.transport)
            key.port(port)
            return key.bytes
        }
        return SetElement(key: bound(box.lower, box.ports.lower), keyEnd: bound(box.upper, box.ports.upper))
    }
}

extension ElementChange {
    /// The same elements taken away.
    package var undone: ElementChange { ElementChange(set: set, remove: add, add: remove) }

    /// What makes `new` of `old`, set by set: elements that both have are left alone.
    package static func difference(from old: [ElementChange], to new: [ElementChange]) -> [ElementChange] {
        var before: [String: Set<SetElement>] = [:]
        var after: [String: Set<SetElement>] = [:]
        for change in old { before[change.set, default: []].formUnion(change.add) }
        for change in new { after[change.set, default: []].formUnion(change.add) }
        return Set(before.keys).union(after.keys).sorted().compactMap { name in
            let (had, has) = (before[name] ?? [], after[name] ?? [])
            let change = ElementChange(set: name, remove: Array(had.subtracting(has)), add: Array(has.subtracting(had)))
            return change.remove.isEmpty && change.add.isEmpty ? nil : change
        }
    }
}
