internal import Broker
internal import Control
internal import Crypto
internal import Model
internal import Netfilter
internal import Policy
internal import PolicyFiles
internal import Ruleset
internal import System

/// The deny before the network: the table without policies, so that nothing passes until a daemon knows better.
package enum Boot {
    /// Puts the table in force unless one is there.
    ///
    /// A configuration that cannot be read denies all the same. With `mode: observe` nothing is done: nothing is refused
    /// on such a host, not even while no daemon runs.
    package static func close(configurationPath: String) throws {
        let configuration = configuration(configurationPath)
        guard configuration.mode == .enforce else {
            Log.info("mode observe: nothing is refused, and nothing was closed")
            return
        }
        let table = try Table(owns: configuration.owner == .auto)
        guard try !table.exists() else {
            Log.info("table inet \(Layout.table) stands already")
            return
        }
        // Without workloads no connection can be given a stamp that means another one to the daemon that follows.
        guard let cryptography = LibCrypto() else { throw StartError(LibCrypto.absence) }
        let broker = Broker(
            settings: Broker.Settings(unidentified: .deny),
            policies: try PolicySet([]),
            cryptography: cryptography,
        )
        let layout = Layout(
            firstQueue: configuration.queue,
            observesOnly: false,
            resolverPort: configuration.dnsPort,
        )
        try table.install(layout, elements: broker.elements())
        Log.info("table inet \(Layout.table): everything is denied until the daemon serves")
    }

    /// Takes the table away, for a host that egressd leaves; refused while a daemon runs, which would put it back.
    package static func open(configurationPath: String) throws {
        let loader = PolicyLoader(resolveUser: Users.uid)
        let configuration = (try? loader.loadConfiguration(configurationPath)) ?? HostConfiguration()
        guard !answers(configuration.control) else { throw StartError(runs) }
        do throws(NetfilterError) {
            try Table().remove()
        } catch {
            // Whoever has the right may do everything but change a table that somebody else owns.
            let isOwned = error.code == NetfilterError.notPermitted && Capability.netAdmin.isEffective == true
            throw isOwned ? StartError(runs) : error
        }
        Log.info("table inet \(Layout.table) is gone: nothing is refused any more")
    }

    private static let runs = "the daemon runs, or is about to: systemctl stop egressd first"

    /// Whether a daemon listens at its control socket.
    private static func answers(_ path: String) -> Bool { (try? ControlClient(path: path)) != nil }

    private static func configuration(_ path: String) -> HostConfiguration {
        do throws(PolicyErrors) {
            return try PolicyLoader(resolveUser: Users.uid).loadConfiguration(path)
        } catch {
            for line in error.errors { Log.error(line.description) }
            Log.warning("the configuration cannot be read: everything is denied")
            return HostConfiguration()
        }
    }
}
