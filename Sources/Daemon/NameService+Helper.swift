internal import Model
internal import System

/// What becomes of the resolver when the helper that makes its sockets is gone.
///
/// Its cgroup is gone with it: what was sent from its sockets would be nobody's, and refused. So all of them are made anew.
extension NameService {
    private static let retry = Instant.Span.seconds(1)
    /// An upgrade, or the service manager after a crash, has another one there before.
    private static let patience = Instant.Span.seconds(1)

    /// Has the loop tell when the helper answers or is gone; nothing without a helper.
    func watchHelper() throws(Errno) {
        guard let descriptor = sockets.descriptor else { return }
        helperWatch = try daemon.loop.add(descriptor, .read) { [unowned self] _ in
            if !sockets.collect() { loseHelper() } else if !isListening { relisten() }
        }
    }

    private var isListening: Bool { !listening.isEmpty }

    private func loseHelper() {
        // One that dies before it has made anything is the same loss.
        if isListening {
            Log.warning("the helper that makes sockets is gone")
            daemon.loop.schedule(after: Self.patience) { [unowned self] in tellOfLoss() }
        }
        for registration in listening.values { daemon.loop.remove(registration) }
        listening = [:]
        reconnect()
    }

    private func tellOfLoss() {
        guard !isListening else { return }
        let message = "the helper that makes sockets is gone: names are not resolved until it is back"
        Log.error(message)
        daemon.record(.alarm, message)
    }

    private func reconnect() {
        if let helperWatch { daemon.loop.remove(helperWatch) }
        helperWatch = nil
        do throws(Errno) {
            try sockets.connect()
            try watchHelper()
        } catch {
            Log.error("\(sockets.path ?? ""): \(error); start egressd-sockets.socket")
            daemon.loop.schedule(after: Self.retry) { [unowned self] in reconnect() }
        }
    }

    /// Listens again, once the helper has made what that takes.
    private func relisten() {
        guard sockets.isStocked else { return relistenLater() }
        do throws(Errno) {
            for server in servers { try server.renew(from: sockets) }
            for listener in listeners { try listener.renew(from: sockets) }
            daemon.learnHelper()
            try listen()
            Log.info("the helper that makes sockets is back: names are resolved")
        } catch {
            Log.error("the resolver's port: \(error)")
            for registration in listening.values { daemon.loop.remove(registration) }
            listening = [:]
            relistenLater()
        }
    }

    /// Tries again in a while: the helper may have had no descriptor left for some of what was asked.
    private func relistenLater() {
        guard !isRelisteningLater else { return }
        isRelisteningLater = true
        daemon.loop.schedule(after: Self.retry) { [unowned self] in
            isRelisteningLater = false
            guard !isListening else { return }
            // One that is gone is noticed by its hang-up.
            try? sockets.restock()
            relisten()
        }
    }
}
