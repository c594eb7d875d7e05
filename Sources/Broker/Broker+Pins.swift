package import Model
internal import Policy
package import Ruleset
internal import Wire

/// A pin as it is stored and shown.
package struct PinSummary: Hashable, Sendable {
    package let workload: String
    package let name: DomainName
    package let address: IPAddress
    package let learned: WallTime
    /// Until when a new connection may use it, on the monotonic clock.
    package let expiry: Instant
    /// Whether no new connection may use it any more, whatever the date becomes: it is for those that are open.
    package let hasEnded: Bool

    package init(
        workload: String,
        name: DomainName,
        address: IPAddress,
        learned: WallTime,
        expiry: Instant,
        hasEnded: Bool = false,
    ) {
        self.workload = workload
        self.name = name
        self.address = address
        self.learned = learned
        self.expiry = expiry
        self.hasEnded = hasEnded
    }
}

extension Broker {
    /// A pin lives at least this long.
    static let pinLifetime = Instant.Span.seconds(3600)
    /// A pin for more ports than this is not in the kernel: the broker settles the port.
    static let pinPortLimit = 16
    /// The kernel's element may end this much later than its pin.
    private static let pinSlack = Instant.Span.seconds(2)
    /// What is nearer to its end than it was by less than this is not written anew.
    private static let pinStep = Instant.Span.seconds(60)

    /// Pins these addresses to a name.
    mutating func pin(
        _ workload: Workload,
        _ identity: Identity,
        _ name: DomainName,
        _ addresses: [IPAddress],
        timeToLive: UInt32,
        at now: Instant,
    ) -> [BrokerAction] {
        let expiry = now + max(.seconds(Int64(timeToLive)), Self.pinLifetime)
        var table = pins.removeValue(forKey: workload.name) ?? PinTable()
        defer { pins[workload.name] = table }
        var changes: [ElementChange] = []
        var saved: [PinSummary] = []
        var dropped: [PinSummary] = []
        for address in addresses {
            let known = table.pin(name, address)
            // Prolonged in steps: what is asked for again and again would else be written again and again.
            if let known, known.expiry + Self.pinStep >= expiry { continue }
            let pin = Pin(name: name, address: address, learned: known?.learned ?? wall(now), expiry: expiry)
            let evicted = table.add(pin)
            let ports = ports(name, address, of: workload)
            changes += extend(pin, ports, identity, &table, at: now)
            for gone in evicted {
                let ended = end(gone, in: &table, of: workload.name, at: now)
                saved.append(ended.saved)
                dropped += ended.dropped
                // What the new one needs as well stays.
                let isCovered =
                    gone.address == address && table.elements[address, default: [:]].keys.allSatisfy(ports.contains)
                if !isCovered { changes += renew(gone.address, of: workload, identity, &table, at: now).changes }
            }
            saved.append(summary(pin, workload.name))
            pinsDue.add(PinKey(workload: workload.name, name: name, address: address), at: expiry)
        }
        var actions: [BrokerAction] = []
        if !changes.isEmpty { actions.append(.change(changes)) }
        if !saved.isEmpty || !dropped.isEmpty { actions.append(.savePins(saved, dropped: dropped)) }
        return actions
    }

    private func summary(_ pin: Pin, _ workload: String) -> PinSummary {
        PinSummary(workload: workload, name: pin.name, address: pin.address, learned: pin.learned, expiry: pin.expiry)
    }

    private func summary(_ tie: Tie, _ workload: String, at now: Instant) -> PinSummary {
        PinSummary(
            workload: workload,
            name: tie.name,
            address: tie.address,
            learned: tie.learned,
            expiry: now,
            hasEnded: true,
        )
    }

    /// Takes a pin away whose time is up, or whose place another one has; what is open by it stays tied to its name, under
    /// the next daemon too.
    private func end(_ pin: Pin, in table: inout PinTable, of workload: String, at now: Instant) -> (
        saved: PinSummary, dropped: [PinSummary]
    ) {
        let gone = table.end(pin, isStored: true)
        let tie = Tie(name: pin.name, address: pin.address, learned: pin.learned, isStored: true)
        return (
            summary(tie, workload, at: now),
            gone.filter(\.isStored).map { summary($0, workload, at: now) }
        )
    }

    /// What of a pin goes into the kernel: its ports, where the policy lets every program of the workload use them.
    private func ports(_ name: DomainName, _ address: IPAddress, of workload: Workload) -> Set<ServicePort> {
        var ports: Set<ServicePort> = []
        for range in workload.portsByPin(of: name) {
            guard ports.count + range.count <= Self.pinPortLimit else { return [] }
            for port in range.ports { ports.insert(ServicePort(transport: range.transport, port: port)) }
        }
        for grant in grants.values
        where grant.state == .active && grant.workload == workload.name && grant.subject == .name(name) {
            ports.formUnion(grant.ports.filter { grant.application(over: $0.transport) == .any })
        }
        return ports.filter { port in
            let destination = Destination(address: address, port: port.port, transport: port.transport)
            return decide(workload, destination, nil, names: [name]).isPlain
                && !workload.decide(Policy.Question(destination: destination)).isPlain
        }
    }

    static func set(_ address: IPAddress) -> String { address.isV4 ? "pins4" : "pins6" }

    private static func element(
        _ identity: Identity,
        _ address: IPAddress,
        _ port: ServicePort,
        timeout: UInt64 = 0,
    ) -> SetElement {
        let destination = Destination(address: address, port: port.port, transport: port.transport)
        return Elements.request(identity, destination, timeout: timeout)
    }

    /// Puts a pin's elements in force, or makes them last longer.
    private func extend(
        _ pin: Pin,
        _ ports: Set<ServicePort>,
        _ identity: Identity,
        _ table: inout PinTable,
        at now: Instant,
    ) -> [ElementChange] {
        var change = ElementChange(set: Self.set(pin.address))
        let until = pin.expiry + Self.pinSlack
        for port in ports {
            if let last = table.elements[pin.address]?[port], now < last {
                guard last + Self.pinStep < until else { continue }
                change.remove.append(Self.element(identity, pin.address, port))
            }
            table.elements[pin.address, default: [:]][port] = until
            change.add.append(Self.element(identity, pin.address, port, until: until, at: now))
        }
        return change.add.isEmpty ? [] : [change]
    }

    static func element(
        _ identity: Identity,
        _ address: IPAddress,
        _ port: ServicePort,
        until: Instant,
        at now: Instant,
    ) -> SetElement {
        element(identity, address, port, timeout: UInt64(max(1, (until - now).nanoseconds / 1_000_000)))
    }

    /// Makes the kernel's elements of an address what its pins ask for; and whether any was taken away.
    private func renew(
        _ address: IPAddress,
        of workload: Workload,
        _ identity: Identity,
        _ table: inout PinTable,
        at now: Instant,
    ) -> (changes: [ElementChange], isNarrower: Bool) {
        var wanted: [ServicePort: Instant] = [:]
        for name in table.names(of: address) {
            guard let pin = table.pin(name, address), now < pin.expiry else { continue }
            for port in ports(name, address, of: workload) {
                wanted[port] = max(wanted[port] ?? pin.expiry, pin.expiry)
            }
        }
        let known = (table.elements[address] ?? [:]).filter { now < $0.value }
        var change = ElementChange(set: Self.set(address))
        var elements: [ServicePort: Instant] = [:]
        for (port, end) in wanted {
            let until = end + Self.pinSlack
            if let last = known[port] {
                elements[port] = last
                guard last + Self.pinStep < until else { continue }
                change.remove.append(Self.element(identity, address, port))
            }
            elements[port] = until
            change.add.append(Self.element(identity, address, port, until: until, at: now))
        }
        let gone = known.keys.filter { wanted[$0] == nil }
        change.remove += gone.map { Self.element(identity, address, $0) }
        table.elements[address] = elements.isEmpty ? nil : elements
        return (change.add.isEmpty && change.remove.isEmpty ? [] : [change], !gone.isEmpty)
    }

    /// Prolongs the pins that a connection used.
    mutating func prolong(_ identity: Identity, _ destination: Destination, _ name: DomainName, at now: Instant)
        -> [BrokerAction]
    {
        guard let workload = workload(identity), pins[workload.name]?.pin(name, destination.address) != nil else {
            return []
        }
        return pin(workload, identity, name, [destination.address], timeToLive: 0, at: now)
    }

    /// Lets go of the pins whose time is up; what is open by them stays.
    mutating func endPins(at now: Instant) -> [BrokerAction] {
        var actions: [BrokerAction] = []
        var saved = endedMeanwhile.saved
        var dropped = endedMeanwhile.dropped
        endedMeanwhile = ([], [])
        for key in pinsDue.take(until: now) {
            guard let pin = pins[key.workload]?.pin(key.name, key.address) else { continue }
            guard pin.expiry <= now else {
                pinsDue.add(key, at: pin.expiry)
                continue
            }
            guard let workload = policies[key.workload], let assignment = assignments[key.workload],
                var table = pins.removeValue(forKey: key.workload)
            else { continue }
            let ended = end(pin, in: &table, of: key.workload, at: now)
            saved.append(ended.saved)
            dropped += ended.dropped
            let changes = renew(key.address, of: workload, assignment.identity, &table, at: now).changes
            pins[key.workload] = table
            if !changes.isEmpty { actions.append(.change(changes)) }
        }
        if !saved.isEmpty || !dropped.isEmpty { actions.append(.savePins(saved, dropped: dropped)) }
        return actions
    }

    /// What the pins of a workload come to under its policy and its grants as they are now.
    mutating func renewPins(of name: String, at now: Instant) -> (
        changes: [ElementChange], dropped: [PinSummary], isNarrower: Bool
    ) {
        guard let workload = policies[name], let assignment = assignments[name],
            var table = pins.removeValue(forKey: name)
        else { return ([], [], false) }
        knownNames[assignment.identity] = nil
        var dropped: [PinSummary] = []
        var isNarrower = false
        for pin in table.all where !isAllowed(pin.name, of: workload) {
            let gone = table.end(pin, isStored: false)
            dropped += gone.filter(\.isStored).map { summary($0, name, at: now) }
            dropped.append(summary(pin, name))
            isNarrower = true
        }
        for tie in table.ties where tie.isStored && !isAllowed(tie.name, of: workload) {
            table.forgetStored(tie)
            dropped.append(summary(tie, name, at: now))
        }
        var changes: [ElementChange] = []
        for address in Set(table.all.map(\.address)).union(table.elements.keys) {
            let renewed = renew(address, of: workload, assignment.identity, &table, at: now)
            changes += renewed.changes
            isNarrower = isNarrower || renewed.isNarrower
        }
        pins[name] = table
        return (changes, dropped, isNarrower)
    }

    /// Lets go of all that a workload was told, when it is gone.
    mutating func forgetPins(of name: String, _ identity: Identity, at now: Instant)
        -> (changes: [ElementChange], dropped: [PinSummary])
    {
        knownNames[identity] = nil
        guard let table = pins.removeValue(forKey: name) else { return ([], []) }
        let changes = table.elements.map { address, ports in
            ElementChange(
                set: Self.set(address),
                remove: ports.filter { now < $0.value }.map { Self.element(identity, address, $0.key) },
            )
        }
        let ties = table.ties.filter(\.isStored).map { summary($0, name, at: now) }
        return (changes.filter { !$0.remove.isEmpty }, table.all.map { summary($0, name) } + ties)
    }

    private func isAllowed(_ name: DomainName, of workload: Workload) -> Bool {
        workload.decide(name: name, type: "A").verdict == .allow || grant(for: workload.name, name) != nil
    }

    /// Takes up the pins of an earlier daemon, those that the policy still allows; the last to end first.
    ///
    /// What has ended is for the connections that are open; what of that is to be stored otherwise comes with the next `tick`.
    package mutating func restore(_ earlier: [PinSummary], at now: Instant) -> [ElementChange] {
        var changes: [ElementChange] = []
        for (name, summaries) in Dictionary(grouping: earlier, by: \.workload) {
            guard let workload = policies[name], let assignment = assignments[name] else {
                endedMeanwhile.dropped += summaries
                continue
            }
            var table = PinTable()
            // Those that end first come first here, as they did to the earlier daemon.
            for earlier in summaries.reversed() {
                guard isAllowed(earlier.name, of: workload) else {
                    endedMeanwhile.dropped.append(earlier)
                    continue
                }
                let pin = Pin(
                    name: earlier.name,
                    address: earlier.address,
                    learned: earlier.learned,
                    expiry: earlier.expiry,
                )
                guard !earlier.hasEnded, now < earlier.expiry else {
                    let ended = end(pin, in: &table, of: name, at: now)
                    if !earlier.hasEnded { endedMeanwhile.saved.append(ended.saved) }
                    endedMeanwhile.dropped += ended.dropped
                    continue
                }
                for gone in table.add(pin) {
                    let ended = end(gone, in: &table, of: name, at: now)
                    endedMeanwhile.saved.append(ended.saved)
                    endedMeanwhile.dropped += ended.dropped
                }
                pinsDue.add(PinKey(workload: name, name: pin.name, address: pin.address), at: pin.expiry)
                remindOf(pin, of: workload, at: now)
            }
            for address in Set(table.all.map(\.address)) {
                changes += renew(address, of: workload, assignment.identity, &table, at: now).changes
            }
            pins[name] = table
        }
        return changes
    }

    /// What `ctl names` shows: the pins of a workload, or of all.
    package func pinSummaries(of workload: String? = nil) -> [PinSummary] {
        let names = workload.map { [$0] } ?? pins.keys.sorted()
        return names.flatMap { name in
            (pins[name]?.all ?? []).map { summary($0, name) }.sorted {
                ($0.name, $0.address.description) < ($1.name, $1.address.description)
            }
        }
    }

    /// What a new record is given: the pins, and what open connections need of those that have ended.
    package func storedPins(at now: Instant) -> [PinSummary] {
        pins.flatMap { name, table in
            table.all.map { summary($0, name) }
                + table.ties.filter(\.isStored).map { summary($0, name, at: now) }
        }
    }

    /// The names that an address was given out for, to any workload.
    package func names(of address: IPAddress) -> [DomainName] {
        Set(pins.values.flatMap { $0.namesEver(of: address) }).sorted()
    }
}

/// Which pin is looked at when its time may be up.
struct PinKey: Hashable {
    let workload: String
    let name: DomainName
    let address: IPAddress
}

extension Rule {
    /// Whether one of the targets is exactly this name, without a wildcard.
    func names(exactly name: DomainName) -> Bool {
        targets.contains { target in
            guard case .name(let pattern) = target else { return false }
            return !pattern.isWildcard && pattern.base == name
        }
    }
}
