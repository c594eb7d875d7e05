import Model
import Policy
import TestSupport

@testable import Broker

/// The few cgroups, processes, destinations and policies of a simulation: few, so that they meet.
struct Universe {
    struct Process {
        let place: Int
        let uid: UInt32
        let executable: String
        let isCertain: Bool
    }

    /// The paths of the cgroups; a cgroup that goes comes back under another id.
    static let paths = [
        "/a.slice/one", "/a.slice/two", "/b.slice", "/b.slice/below", "/c.slice", "/a.slice/one/deep",
        "/system.slice/egressd.service",
    ]
    static let daemonPath = "/system.slice/egressd.service"

    static let processes: [Process] = (0..<paths.count).flatMap { place in
        [
            Process(place: place, uid: 1001, executable: "/usr/bin/ssh", isCertain: true),
            Process(place: place, uid: 1002, executable: "/usr/bin/curl", isCertain: true),
            Process(place: place, uid: 0, executable: "/usr/bin/curl", isCertain: false),
        ]
    }

    static func address(_ text: String) -> IPAddress {
        guard let address = IPAddress(text) else { preconditionFailure("\(text) is no address") }
        return address
    }

    static let outside = ["10.0.0.1", "10.0.0.2", "10.0.1.1", "169.254.169.254", "fd00::1", "fd00:ec2::254"].map(
        address
    )
    static let loopback = ["127.0.0.1", "::1"].map(address)
    static let ports: [UInt16] = [22, 80, 443, 5000]

    static func destination(_ random: inout SplitMix) -> Destination {
        let address = random.pick(outside)
        if random.chance(6) {
            return Destination(address: address, port: 0, transport: Transport(number: address.isV4 ? 1 : 58))
        }
        return Destination(address: address, port: random.pick(ports), transport: random.chance(70) ? .tcp : .udp)
    }

    private static func prefix(_ text: String) -> AddressPrefix {
        let parts = text.split(separator: "/")
        guard let length = Int(parts[1]), let prefix = AddressPrefix(address: address(String(parts[0])), length: length)
        else { preconditionFailure("\(text) is no prefix") }
        return prefix
    }

    private static let prefixes = [
        "10.0.0.0/24", "10.0.0.1/32", "10.0.0.2/31", "10.0.0.0/23", "fd00::/64", "fd00::1/128", "169.254.169.254/32",
        "169.254.0.0/16", "127.0.0.0/8", "::1/128", "fd00:ec2::254/128",
    ].map(prefix)

    private static let specs = ["443", "22", "80-443", "any", "5000/udp", "any/udp", "1-22", "80-5000/udp"].map {
        text in
        guard let spec = try? PortSpec(text) else { preconditionFailure("\(text) is no port") }
        return spec
    }

    private static func rule(_ name: String, _ random: inout SplitMix, mayWantProgram: Bool) -> Rule {
        let targets = (0..<Int.random(in: 1...2, using: &random)).map { _ -> Target in
            random.chance(8) ? .any : .prefix(random.pick(prefixes))
        }
        let ports = (0..<Int.random(in: 1...2, using: &random)).map { _ in random.pick(specs) }
        let executable = mayWantProgram && random.chance(25) ? "/usr/bin/ssh" : nil
        return Rule(name: name, targets: targets, ports: ports, executable: executable)
    }

    private static let identities: [(name: String, glob: String, user: UInt32?)] = [
        ("one", "a.slice/one", nil), ("renamed", "a.slice/one", nil), ("around", "a.slice", nil),
        ("left", "b.slice", 1001), ("right", "b.slice", 1002), ("moved", "c.slice", 1001),
    ]

    private static func workload(_ index: Int, _ random: inout SplitMix) -> Workload {
        let identity = identities[index]
        guard let glob = try? CgroupGlob(identity.glob) else { preconditionFailure("\(identity.glob) is no glob") }
        let modes: [UnknownMode] = [.deny, .deny, .hold(.seconds(Int64.random(in: 1...30, using: &random))), .observe]
        return Workload(
            name: identity.name,
            cgroup: glob,
            user: identity.user,
            allow: (0..<Int.random(in: 0...3, using: &random)).map {
                rule("allow-\($0)", &random, mayWantProgram: true)
            },
            deny: (0..<Int.random(in: 0...2, using: &random)).map {
                rule("deny-\($0)", &random, mayWantProgram: false)
            },
            listen: (0..<Int.random(in: 0...1, using: &random)).map { number in
                let from = random.chance(30) ? [AddressPrefix.allV4, .allV6] : [random.pick(prefixes)]
                return ListenRule(name: "listen-\(number)", from: from, ports: [random.pick(specs)])
            },
            unknown: random.pick(modes),
        )
    }

    /// Policies that keep some workloads of `old` as they are, change some, and drop or add others.
    static func policies(after old: PolicySet, _ random: inout SplitMix) -> PolicySet {
        let keeps = Int.random(in: 0...100, using: &random)
        var chosen: [Workload] = []
        var cgroups: Set<String> = []
        for index in identities.indices.shuffled(using: &random) {
            let identity = identities[index]
            guard !cgroups.contains("\(identity.glob) \(identity.user ?? 0)") else { continue }
            if let known = old[identity.name] {
                if random.chance(20) { continue }
                chosen.append(
                    random.chance(keeps) ? known : random.chance(50) ? nudged(known, &random) : workload(index, &random)
                )
            } else {
                guard random.chance(60) else { continue }
                chosen.append(workload(index, &random))
            }
            cgroups.insert("\(identity.glob) \(identity.user ?? 0)")
        }
        guard let set = try? PolicySet(chosen) else { preconditionFailure("the identities do not overlap") }
        return set
    }

    /// The workload with one thing different.
    private static func nudged(_ old: Workload, _ random: inout SplitMix) -> Workload {
        var new = old
        switch Int.random(in: 0..<6, using: &random) {
        case 0: if !new.allow.isEmpty { new.allow.removeLast() }
        case 1: new.deny = [rule("deny-0", &random, mayWantProgram: false)]
        case 2: new.allow.append(rule("allow-\(new.allow.count)", &random, mayWantProgram: true))
        case 3: new.unknown = random.pick([.deny, .hold(.seconds(5)), .observe])
        case 4: new.listen = []
        default: new.description = "\(random.next())"
        }
        return new
    }

    static func settings(_ random: inout SplitMix) -> Broker.Settings {
        Broker.Settings(
            observesOnly: random.chance(12),
            unidentified: random.pick([.allow, .observe, .deny]),
            upstreams: random.chance(50)
                ? [Destination(address: outside[0], port: 53, transport: random.pick([.udp, .tcp]))] : [],
            daemonCgroup: random.chance(80) ? daemonPath : nil,
        )
    }
}
