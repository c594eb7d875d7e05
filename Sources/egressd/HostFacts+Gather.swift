internal import Control
internal import Coverage
internal import Glibc
internal import Model
internal import Netfilter
internal import Policy
internal import PolicyFiles
internal import Survey
internal import System

extension HostFacts {
    /// Everything that can be found out about this host, from within the network namespace of the caller.
    init(configurationPath: String) {
        self.init()
        var name = utsname()
        if unsafe uname(&name) == 0 {
            host = Self.text(name.nodename)
            kernel = Self.text(name.release)
        }
        let survey = HostSurvey()
        let loader = PolicyLoader(resolveUser: Users.uid)
        let loaded = Self.load(configurationPath, loader)
        // What cannot be read may be the default, with the package's groups.
        let control = loaded.value?.control ?? HostConfiguration().control
        let approver = loaded.value.map(\.approverGroup) ?? "egress-approvers"
        configuration = loaded.map { Configuration($0) }
        policies =
            switch loaded {
            case .known(let configuration): Self.policies(configuration.policies, loader)
            case .unknown(let why): .unknown(why)
            }
        daemon = Self.ask(control)
        units = .known(survey.units())
        settings = survey.settings()
        packetSockets = survey.packetSockets()
        protocols = survey.protocols()
        rdma = survey.rdma()
        privilegedGroups = HostSurvey.privilegedGroups(
            approver: approver,
            number: Users.gid,
        )
        let tree = try? CgroupTree()
        // Without the capability that opening by id wants, a refusal says nothing of the kernel.
        cgroups = survey.cgroups(opensById: geteuid() == 0 ? tree.map { $0.path(of: $0.id(of: "/") ?? 0) != nil } : nil)
        processes =
            switch policies {
            case .known(let policies): survey.processes(policies, groups: Users.groups)
            case .unknown(let why): .unknown("whose they are is not known: \(why)")
            }
        doors = survey.doors(for: processes.value)
        lookAtNetwork(tree, resolver: loaded.value?.dnsPort ?? HostConfiguration().dnsPort)
    }

    private mutating func lookAtNetwork(_ tree: CgroupTree?, resolver: UInt16) {
        table = Self.told("the table") { () throws(NetfilterError) in try NetworkSurvey.table() }
        chains = Self.told("the chains") { () throws(NetfilterError) in try NetworkSurvey.chains() }
        foreignRules = Self.told("the rules") { () throws(NetfilterError) in try NetworkSurvey.foreignRules() }
        legacyTables = LegacyTables.names().sorted()
        addresses = Self.told("the addresses") { () throws(NetfilterError) in try NetworkSurvey.addresses() }
        links = Self.told("the devices") { () throws(NetfilterError) in try NetworkSurvey.links() }
        if let trial = try? KernelTrial() { features = trial.features() }
        guard let sockets = try? SocketTable() else { return }
        features.destroysSockets = sockets.canDestroy().map { .known($0) } ?? .unknown("the kernel did not say")
        if let probe = try? DatagramServer(SocketAddress(.v4(0x7f00_0001), port: 0)) {
            features.tellsMarks = probe.tellsMark || geteuid() == 0 ? .known(probe.tellsMark) : .unknown("run as root")
            let own = (try? sockets.list(.udp))?.first { $0.localPort == probe.address.port && $0.local.isV4 }
            features.tellsCgroups = own.map { .known($0.cgroup != 0) } ?? .unknown("the kernel did not say")
        }
        listeners = Self.told("the listeners") { () throws(NetfilterError) in
            try sockets.list(.tcp, states: 1 << Self.listening) + sockets.list(.udp, states: 1 << Self.unconnected)
        }.map { [policies] found in
            // The daemon's own resolver, which the rules keep to what was sent to it by them.
            let others = found.filter { $0.localPort != resolver || !Self.loopback.contains($0.local) }
            return others.map { Listener($0, tree, policies.value ?? .empty) }
        }
    }

    private static let loopback: [IPAddress] = [.v4(0x7f00_0001), .v6(1)]
    // TCP_LISTEN and TCP_CLOSE of include/net/tcp_states.h; the latter is a UDP socket that takes from everybody.
    private static let listening: UInt32 = 10
    private static let unconnected: UInt32 = 7

    private static func load(_ path: String, _ loader: PolicyLoader) -> Known<HostConfiguration> {
        do throws(PolicyErrors) {
            return .known(try loader.loadConfiguration(path))
        } catch {
            return .unknown(error.errors.first?.description ?? path)
        }
    }

    private static func policies(_ folder: String, _ loader: PolicyLoader) -> Known<PolicySet> {
        do throws(PolicyErrors) {
            return .known(try loader.loadPolicies(folder))
        } catch {
            return .unknown(error.errors.first?.description ?? folder)
        }
    }

    private static func ask(_ path: String) -> Answer {
        do throws(ControlError) {
            return .status(DaemonStatus(try ControlClient(path: path).call("Status", timeout: 5000)))
        } catch {
            switch error {
            case .notPermitted(let reason): return .refused(reason)
            default: return .unreachable("\(error)")
            }
        }
    }

    private static func told<Value, Failure: Error>(
        _ what: String,
        _ body: () throws(Failure) -> Value,
    ) -> Known<Value> {
        do throws(Failure) {
            return .known(try body())
        } catch {
            return .unknown("\(what): \(error)")
        }
    }

    private static func text<Bytes>(_ field: Bytes) -> String {
        unsafe withUnsafeBytes(of: field) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}

extension HostFacts.Configuration {
    fileprivate init(_ configuration: HostConfiguration) {
        self.init(
            observesOnly: configuration.mode == .observe,
            unidentified: configuration.unidentified.rawValue,
            ownsTable: configuration.owner == .auto,
        )
    }
}

extension DaemonStatus {
    fileprivate init(_ answer: JSON) {
        self.init(
            version: answer["version"]?.string ?? "?",
            observesOnly: answer["mode"]?.string != HostConfiguration.Mode.enforce.rawValue,
            unidentified: answer["unidentified"]?.string ?? "?",
            workloads: Int(answer["workloads"]?.integer ?? 0),
            eventsLost: Int(answer["counters"]?["eventsLost"]?.integer ?? 0),
            warnings: (answer["warnings"]?.array ?? []).compactMap(\.string),
        )
    }
}

extension Listener {
    fileprivate init(_ socket: SocketInfo, _ tree: CgroupTree?, _ policies: PolicySet) {
        var workload: String?
        if let path = tree?.path(of: socket.cgroup),
            case .workload(let name) = policies.identify(cgroup: path, uid: socket.uid)
        {
            workload = name
        }
        self.init(socket.transport, address: socket.local, port: socket.localPort, workload: workload)
    }
}
