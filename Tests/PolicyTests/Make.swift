import Model
import Policy

/// Short ways to write policies in tests.
enum Make {
    /// An allow or deny rule; `ports` may be left out for every port.
    static func rule(
        _ name: String,
        to: [String],
        ports: [String] = ["any"],
        application: ApplicationProtocol = .any,
        executable: String? = nil,
        types: [String] = [],
    ) throws -> Rule {
        Rule(
            name: name,
            targets: try to.map { try Target($0) },
            ports: try ports.map { try PortSpec($0) },
            application: application,
            executable: executable,
            types: types,
        )
    }

    /// A workload that is allowed and denied these.
    static func workload(
        _ name: String = "a",
        cgroup: String = "a.slice",
        user: UInt32? = nil,
        allow: [Rule] = [],
        deny: [Rule] = [],
        listen: [ListenRule] = [],
        unknown: UnknownMode = .deny,
    ) throws -> Workload {
        Workload(
            name: name,
            cgroup: try CgroupGlob(cgroup),
            user: user,
            allow: allow,
            deny: deny,
            listen: listen,
            unknown: unknown,
            file: "\(name).yaml",
        )
    }

    /// A question about `10.0.0.1:443` or `[fd00::1]:53/udp`, an address to which these names are pinned.
    static func question(
        _ to: String,
        executable: String? = nil,
        isCertain: Bool = true,
        names: [String] = [],
    ) throws -> Question {
        let read = try Expectation.Subject.read(to)
        guard case .address(let address) = read.subject else { throw TextError("\(to) is no address") }
        return Question(
            destination: Destination(address: address, port: read.port, transport: read.transport),
            executable: executable,
            executableIsCertain: isCertain,
            names: try names.map { try DomainName($0) },
        )
    }
}
