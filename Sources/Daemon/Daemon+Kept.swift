internal import Model
internal import Netfilter
internal import System

/// What the service manager keeps from one daemon to the next: as long as somebody has the sockets, packets wait in the
/// queues, the kernel's log waits to be read, and the table has its owner.
extension Daemon {
    /// The sockets, by the names under which they are kept.
    enum Kept: String, CaseIterable {
        case table, queues, log
    }

    static func kept(_ which: Kept, by service: ServiceManager) -> [Int32] {
        service.kept.filter { $0.name == which.rawValue }.map(\.descriptor)
    }

    /// Has the service manager keep what it does not have yet, and forget what is not used.
    func handOver() {
        let sockets: [(which: Kept, descriptor: Int32, isKept: Bool, refusal: String?)] = [
            (.table, table.descriptor, table.isKept, table.refusal),
            (.queues, queues.descriptor, queues.isKept, queues.refusal),
            (.log, log.descriptor, log.isKept, log.refusal),
        ]
        for socket in sockets {
            let name = socket.which.rawValue
            if let refusal = socket.refusal {
                Log.warning("the kept socket '\(name)' is not used, and forgotten: \(refusal)")
            }
            if socket.isKept { Log.info("taking over the kept socket '\(name)' of an earlier daemon") }
            guard !socket.isKept || Self.kept(socket.which, by: service).count > 1 else { continue }
            keep(socket.descriptor, name: name)
        }
    }

    /// Tries again as long as the service manager does not take it: a socket that it does not have ends with this process.
    private func keep(_ descriptor: Int32, name: String, isFirst: Bool = true) {
        guard service.isThere else { return }
        guard service.forget(name: name), service.keep([descriptor], name: name) else {
            if isFirst {
                Log.warning("the service manager was not given the socket '\(name)' to keep; it is tried again")
            }
            _ = loop.schedule(after: .seconds(1)) { [unowned self] in keep(descriptor, name: name, isFirst: false) }
            return
        }
        if !isFirst { Log.info("the service manager keeps the socket '\(name)' now") }
    }

    /// Has everything judged that waited in the queues while no daemon ran, by the rules that are in force now.
    func judgeWaiting() {
        do throws(NetfilterError) {
            if try !queues.repeatLeft() {
                overloads += 1
                alarm(
                    "packets came while nobody read, more than the queues' socket holds: they were refused without being looked at",
                    reason: .overload,
                )
            }
        } catch {
            Log.error("\(error)")
            record(.alarm, "packets that waited while no daemon ran may go on waiting: \(error)")
        }
    }
}
