internal import Broker
internal import Model
internal import Netfilter
internal import PolicyFiles
internal import Record
internal import Resolver
internal import System

extension Daemon {
    /// The name servers that the configuration gives, or /etc/resolv.conf.
    static func upstreams(_ configuration: HostConfiguration) -> [Upstream] {
        configuration.dnsServers.map { Upstream($0.address, port: $0.port) }
    }

    /// Has requests for names redirected as long as a policy or a grant has any.
    func updateRedirecting() {
        guard broker.usesNames != isRedirecting else { return }
        do {
            try table.setRedirecting(!isRedirecting, of: layout)
            isRedirecting.toggle()
            ruleset?.learn()
            warnings["names"] = nil
        } catch {
            warnings["names"] = "requests for names are refused: \(error)"
            Log.error("\(error); requests for names are refused")
        }
    }

    /// Notices when /etc/resolv.conf changes, unless the configuration names the upstreams itself.
    func watchUpstreams() {
        guard upstreamWatch == nil else { return }
        do {
            let watch = try FileWatch(loader.resolverFile)
            upstreamWatch = watch
            _ = try loop.add(watch.descriptor, .read) { [unowned self] _ in
                guard watch.drain() else { return }
                // Who writes it may be at it still.
                loop.schedule(after: .milliseconds(50)) { [unowned self] in readUpstreams() }
            }
        } catch {
            Log.warning("\(loader.resolverFile) is not watched (\(error)): its changes count after a reload")
        }
    }

    private func readUpstreams() {
        guard configuration.dnsUpstreamsAreDefault else { return }
        var changed = configuration
        do {
            changed.dnsUpstreams = try ResolverFile.nameservers(loader.resolverFile)
        } catch {
            // Its change is told once.
            Log.warning("\(error); the name servers stay what they were, and it is read again in a second")
            _ = loop.schedule(after: .seconds(1)) { [unowned self] in readUpstreams() }
            return
        }
        guard changed.dnsServers != configuration.dnsServers else { return }
        configuration = changed
        var settings = broker.settings
        settings.upstreams = Self.settings(changed, settings.daemonCgroup).upstreams
        let now = Clock.now()
        broker.setClock(wall: Clock.wall(), at: now)
        perform(broker.load(broker.policies, settings, at: now))
        names?.setUpstreams(Self.upstreams(changed))
        let list = changed.dnsServers.map(\.description).joined(separator: ", ")
        Log.info("name servers of \(loader.resolverFile): \(list.isEmpty ? "none" : list)")
    }

    // MARK: State

    func save(_ saved: [PinSummary], dropped: [PinSummary]) {
        let now = Clock.now()
        let wall = Clock.wall()
        if !dropped.isEmpty {
            store.deletePins(
                dropped.map { PinRow.Key(workload: $0.workload, name: $0.name, address: $0.address) },
            )
        }
        guard !saved.isEmpty else { return }
        store.upsertPins(
            saved.map { pin in
                PinRow(
                    workload: pin.workload,
                    name: pin.name,
                    address: pin.address,
                    learned: pin.learned,
                    expires: wall + (pin.expiry - now),
                    hasEnded: pin.hasEnded,
                )
            },
        )
    }

    /// A stored pin with what is left of it: never more than a pin can have, whatever the wall clock did meanwhile.
    static func summary(_ row: PinRow, at now: Instant) -> PinSummary {
        let left = (row.expires.microseconds - Clock.wall().microseconds) / 1000
        return PinSummary(
            workload: row.workload,
            name: row.name,
            address: row.address,
            learned: row.learned,
            expiry: row.hasEnded ? now : now + .milliseconds(min(left, 86_400_000)),
            hasEnded: row.hasEnded,
        )
    }
}
