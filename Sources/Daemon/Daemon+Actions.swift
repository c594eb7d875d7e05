internal import Broker
internal import Glibc
internal import Model
internal import Netfilter
internal import Policy
internal import Record
internal import Ruleset
internal import System

extension Daemon {
    /// Performs what the broker decided, in order; changes are gathered and come into force before the answers.
    ///
    /// With `taken`, they tell of what this element had counted.
    func perform(_ actions: [BrokerAction], flushing: Bool = true, taken: AheadFile.Counter? = nil) {
        foretell(actions, taken: taken)
        for action in actions {
            switch action {
            case .change(let changes):
                pendingChanges += changes
            case .changeAfter(let changes):
                laterChanges.formUnion(changes)
            case .stamp(let key, let stamp, let device):
                // What was changed for it comes into force first.
                applyPending()
                let destination = key.destination
                let isStamped = connections.restamp(
                    destination.transport,
                    from: (key.local, key.localPort),
                    to: (destination.address, destination.port),
                    mark: stamp.mark,
                )
                // What cannot be stamped would be asked about for ever.
                if !isStamped { destroy(key, device) }
            case .destroy(let key, let device):
                destroy(key, device)
            case .expire(let key, let device):
                let now = Clock.now()
                let isConnecting = socket(of: key, device)?.isConnecting ?? false
                perform(
                    isConnecting
                        ? broker.postpone(key, at: now)
                        : broker.expired(key, wasOpen: destroy(key, device), at: now),
                    flushing: false,
                )
            case .answer(let reference, let answer):
                queues.answer(reference.queue, reference.packet, PacketQueues.Answer(answer))
            case .record(let event):
                pendingEvents.append(event)
            case .clear(let sets):
                clear(sets)
            case .settle(let key):
                applyPending()
                settle(key)
            case .cut(let identity, let generation, let destination):
                applyPending()
                cut(identity, generation: generation, destination)
            case .recheck(let identity):
                // The policy is in force already; looking for what it cuts must not keep packets waiting.
                afterPackets { [unowned self] in recheck(identity) }
            case .unstamp(let ids):
                applyPending()
                unstamp(Set(ids))
            case .endGrant(let grant):
                save(ended: grant)
            case .savePins(let saved, let dropped):
                save(saved, dropped: dropped)
            case .refresh(let identity, let question):
                // Not from within an answer that is being released.
                loop.defer { [unowned self] in names?.refresh(identity, question) }
            case .saveAssignments(let assignments, let removed):
                save(assignments, removed: removed)
            }
        }
        if flushing {
            flush()
            updateRedirecting()
            scheduleTick()
        }
    }

    /// Does something once the packets that wait now were answered.
    func afterPackets(_ body: @escaping () -> Void) {
        loop.defer { [unowned self] in loop.defer(body) }
    }

    /// Changes in one transaction, then the answers in one message, then what is written down.
    func flush() {
        applyPending()
        attempt("answering packets") { () throws(NetfilterError) in try queues.flush() }
        if !laterChanges.isEmpty {
            pendingChanges += laterChanges
            laterChanges.removeAll(keepingCapacity: true)
            applyPending()
        }
        for event in pendingEvents { append(event) }
        pendingEvents.removeAll(keepingCapacity: true)
    }

    func applyPending() {
        guard !pendingChanges.isEmpty || troubles.hasChanges else { return }
        let changes = troubles.changes.isEmpty ? pendingChanges : troubles.changes + pendingChanges
        pendingChanges.removeAll(keepingCapacity: true)
        troubles.changes = []
        do {
            let begin = Clock.now()
            do {
                try change(changes)
            } catch  where !error.isPassing {
                // One element that the kernel refuses must not keep the others out of force, or in force.
                Log.info("\(error); all but what it refuses is done")
                note(try changeApart(changes))
            }
            let size = changes.reduce(0) { $0 + $1.add.count + $1.remove.count }
            if size >= largestTransaction.elements { largestTransaction = (size, Clock.now() - begin) }
        } catch {
            troubles.failures += 1
            guard error.isPassing else { return note(error, "changing elements") }
            troubles.changes = changes
            noteTrouble(error)
        }
    }

    /// Performs something that the kernel may refuse.
    func attempt(_ what: String, _ body: () throws(NetfilterError) -> Void) {
        do throws(NetfilterError) {
            try body()
        } catch  where error.isPassing {
            noteTrouble(error)
        } catch {
            note(error, what)
        }
    }

    /// A refusal of the kernel is an alarm, and never lets anything through.
    func note(_ error: NetfilterError, _ what: String) {
        // The packet was answered for already: its flow or its socket is gone.
        guard error.code != NetfilterError.notFound else { return }
        Log.error("\(what): \(error)")
        record(.alarm, "\(what): \(error)")
    }

    /// As above, of elements; those that were gone before they were taken out are as they are to be.
    private func note(_ refused: [RefusedElement]) {
        let counts = Dictionary(refused.filter { !$0.isGone }.map { ($0, 1) }, uniquingKeysWith: +)
        for (element, count) in counts.sorted(by: { $0.key.set < $1.key.set }) {
            troubles.failures += 1
            let what = element.isRemoval ? "removing from" : "adding to"
            let problem = "\(what) set \(element.set), \(count) element\(count == 1 ? "" : "s"): errno \(element.code)"
            Log.error(problem)
            record(.alarm, problem)
        }
    }

    private func settle(_ key: Window.Key) {
        guard key.isInKernel else { return perform(broker.settled(key, packets: 0, at: Clock.now()), flushing: false) }
        // Without an answer the window stays: what the kernel has counted is asked for again.
        attempt("settling \(key.set)") { () throws(NetfilterError) in
            if let packets = try table.count(of: key.element, in: key.set) { untold[key] = packets }
            foretellCount(of: key)
            settled(key, packets: try table.take(key.element, from: key.set) ?? untold[key] ?? 0)
        }
    }

    /// The element of a window has met so many packets, and is gone.
    func settled(_ key: Window.Key, packets: UInt64) {
        untold[key] = nil
        let actions = broker.settled(key, packets: packets, at: Clock.now())
        perform(actions, flushing: false, taken: AheadFile.Counter(key))
    }

    /// Ends a connection; false when it had ended already, or where the kernel cannot.
    @discardableResult
    private func destroy(_ key: FlowKey, _ device: UInt32) -> Bool {
        socket(of: key, device).map(sockets.destroy) ?? false
    }

    private func socket(of key: FlowKey, _ device: UInt32) -> SocketInfo? {
        let (transport, remote) = (key.destination.transport, key.destination)
        let socket = sockets.find(
            transport,
            local: key.local,
            key.localPort,
            remote: remote.address,
            remote.port,
            device: device,
        )
        // A listening socket would be found as well.
        if let socket, socket.remotePort == remote.port { return socket }
        // The socket knows the destination from before others translated it.
        let asked = connections.find(
            transport: transport,
            replyFrom: (remote.address, remote.port),
            to: (key.local, key.localPort),
        )
        guard let asked, asked.destination != remote.address || asked.destinationPort != remote.port else { return nil }
        let opener = sockets.find(
            transport,
            local: asked.source,
            asked.sourcePort,
            remote: asked.destination,
            asked.destinationPort,
            device: device,
        )
        return opener.flatMap { $0.remotePort == asked.destinationPort ? $0 : nil }
    }
}

extension PacketQueues.Answer {
    fileprivate init(_ answer: BrokerAction.Answer) {
        switch answer {
        case .drop: self = .drop
        case .again: self = .again
        case .pass: self = .pass
        }
    }
}
