internal import Broker
internal import Glibc
internal import Model
internal import Policy
internal import System

/// The daemon's place among the cgroups: where its own sockets are made, or the helper's that makes them.
extension Daemon {
    /// Sockets of this process, or of the helper that listens at this path.
    static func internetSockets(_ helper: String?) throws(StartError) -> InternetSockets {
        guard let helper else { return InternetSockets() }
        return try explained("no sockets from \(helper), start egressd-sockets.socket") {
            () throws(Errno) in try InternetSockets(helper: helper)
        }
    }

    /// The cgroup whose sockets are the daemon's; nil when others than the process that makes them are in it.
    ///
    /// A shell that starts a daemon by hand shares its cgroup, and must not become the daemon.
    static func ownCgroup(_ cgroups: CgroupTree, maker: Int32?) -> String? {
        let pid = maker ?? getpid()
        guard let path = cgroups.path(ofProcess: pid), path != "/", cgroups.processes(of: path) == [pid] else {
            if maker != nil {
                Log.warning("the helper is not alone in its cgroup: name servers are reached as by anybody else")
            }
            return nil
        }
        guard CgroupDepth.known(path) == path else {
            // Its ancestor, which is all that the rules see, is others' too.
            Log.warning(
                "the daemon's cgroup lies more than \(CgroupDepth.deepest) deep: name servers are reached as by anybody else"
            )
            return nil
        }
        return path
    }

    /// A helper that was started anew may be somewhere else.
    func learnHelper() {
        guard let maker = internetSockets.helper else { return }
        var settings = broker.settings
        settings.daemonCgroup = Self.ownCgroup(cgroups, maker: maker)
        guard settings.daemonCgroup != broker.settings.daemonCgroup else { return }
        let now = Clock.now()
        broker.setClock(wall: Clock.wall(), at: now)
        perform(broker.load(broker.policies, settings, at: now))
    }

    /// Keeps up with cgroups that come and go, so that the first packet of a new one finds it soon.
    ///
    /// At most ten times a second, however many there are.
    func followCgroups() throws {
        switch cgroups.way {
        case .handle: Log.info("cgroups: opened by their ids")
        case .index: Log.info("cgroups: followed, for want of CAP_DAC_READ_SEARCH")
        }
        if !inspector.access.showsOthers {
            Log.warning(
                "this kernel shows processes of others only to CAP_DAC_READ_SEARCH (before Linux 5.14): requests are recorded "
                    + "without their process; add it to AmbientCapabilities= and CapabilityBoundingSet= of the unit",
            )
        }
        guard let changes = cgroups.changes else { return }
        var registration: Registration?
        registration = try loop.add(changes, .read) { [unowned self] _ in
            cgroups.catchUp()
            if let registration { try? loop.pause(registration, for: .milliseconds(100)) }
        }
    }
}
