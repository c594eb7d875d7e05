import Glibc
import Model
import Policy
import PolicyFiles
import TestSupport
import Testing

struct LoaderTests {
    private func policy(_ name: String, cgroup: String? = nil, more: String = "") -> String {
        "workload: \(name)\nidentity: {cgroup: \(cgroup ?? name)}\n\(more)"
    }

    /// One property of each workload in the folder, by name.
    private func load<Value>(_ loader: PolicyLoader, _ folder: String, _ value: KeyPath<Workload, Value>) throws
        -> [Value]
    {
        try loader.loadPolicies(folder).workloads.map { $0[keyPath: value] }
    }

    /// The errors of loading the folder, its own path cut off; empty when it loads.
    private func errors(_ loader: PolicyLoader, _ folder: String) -> [String] {
        do {
            _ = try loader.loadPolicies(folder)
            return []
        } catch {
            return error.errors.map { $0.description.replacing(folder + "/", with: "") }
        }
    }

    @Test func anEmptyFolderIsAnEmptySetThatWarns() throws {
        try Fixtures.withFolder { folder in
            let set = try Fixtures.loader().loadPolicies(folder)
            #expect(set.workloads == [])
            #expect(set.warnings.map(\.file) == [folder])
        }
    }

    @Test func aMissingFolderSaysSo() {
        let error = #expect(throws: PolicyErrors.self) { try Fixtures.loader().loadPolicies("/nonexistent/policies") }
        #expect(error?.description == "/nonexistent/policies: the folder cannot be read: No such file or directory")
    }

    @Test func missingConfigurationSaysSo() {
        let loader = Fixtures.loader()
        let error = #expect(throws: PolicyErrors.self) { try loader.loadConfiguration("/nonexistent.yaml") }
        #expect(error?.description == "/nonexistent.yaml: cannot be read: No such file or directory")
        let folder = #expect(throws: PolicyErrors.self) { try loader.loadConfiguration("/") }
        #expect(folder?.description == "/: is not a regular file")
    }

    @Test(arguments: ["", "\n", "# mode: observe\n# owner: off\n", "---\n", "--- # nothing\n...\n"])
    func everyKeyOfTheConfigurationMayBeLeftOut(_ text: String) throws {
        var expected = HostConfiguration()
        expected.path = "c.yaml"
        #expect(try ConfigurationReader.read(Array(text.utf8), file: "c.yaml") == expected)
        #expect(throws: PolicyErrors.self) { try PolicyReader.read(Array(text.utf8), file: "p.yaml") { _ in nil } }
    }

    @Test func everyKeyOfTheConfiguration() throws {
        try Fixtures.withFolder { folder in
            let text = """
                policies: /p
                mode: observe
                unidentified: deny
                dns: {upstream: [10.0.0.2, "fd00::2#5353", 10.0.0.2#54], port: 5300, budget: 17}
                control: /c.sock
                state: /s
                roles: {approver: ops, viewer: devs}
                context: [A, _b1]
                queue: 7
                owner: off
                """
            Files.write(text, to: folder + "/c.yaml")
            let read = try Fixtures.loader().loadConfiguration(folder + "/c.yaml")
            var expected = HostConfiguration()
            expected.policies = "/p"
            expected.mode = .observe
            expected.unidentified = .deny
            let (first, second) = try (#require(IPAddress("10.0.0.2")), #require(IPAddress("fd00::2")))
            expected.dnsServers = [
                Nameserver(first), Nameserver(second, port: 5353), Nameserver(first, port: 54),
            ]
            #expect(read.dnsUpstreams == [first, second])
            #expect(read.dnsServers.map(\.description) == ["10.0.0.2", "fd00::2#5353", "10.0.0.2#54"])
            expected.dnsUpstreamsAreDefault = false
            expected.dnsPort = 5300
            expected.dnsBudget = 17
            expected.control = "/c.sock"
            expected.state = "/s"
            expected.approverGroup = "ops"
            expected.viewerGroup = "devs"
            expected.context = ["A", "_b1"]
            expected.queue = 7
            expected.owner = .off
            expected.path = folder + "/c.yaml"
            #expect(read == expected)
        }
    }

    @Test func upstreamsComeFromTheResolverFile() throws {
        try Fixtures.withFolder { folder in
            let text =
                "# nameserver 1.1.1.1\nnameserver 10.0.0.2\n nameserver\tfd00::2 # two\nnameserver fe80::1%eth0\nsearch x\n"
            Files.write(text, to: folder + "/resolv.conf")
            Files.write("mode: observe\n", to: folder + "/c.yaml")
            let loader = PolicyLoader(resolveUser: { _ in nil }, resolverFile: folder + "/resolv.conf")
            let read = try loader.loadConfiguration(folder + "/c.yaml")
            #expect(read.dnsUpstreams.map(\.description) == ["10.0.0.2", "fd00::2"])
            #expect(read.dnsServers.map(\.port) == [53, 53])
            #expect(read.dnsUpstreamsAreDefault)
            #expect(read.dnsPort == 8053)
            #expect(read.dnsBudget == 4096)
            Files.write("dns: {port: 1024}\n", to: folder + "/c.yaml")
            let moved = try loader.loadConfiguration(folder + "/c.yaml")
            #expect(moved.dnsUpstreams == read.dnsUpstreams)
            #expect(moved.dnsUpstreamsAreDefault)
            #expect(moved.dnsPort == 1024)
        }
    }

    @Test func aResolverFileThatCannotBeReadIsAnError() throws {
        try Fixtures.withFolder { folder in
            Files.write("mode: observe\n", to: folder + "/c.yaml")
            let loader = PolicyLoader(resolveUser: { _ in nil }, resolverFile: folder + "/resolv.conf")
            let without = try loader.loadConfiguration(folder + "/c.yaml")
            #expect(without.dnsUpstreams == [])
            #expect(unsafe symlink("resolv.conf", folder + "/resolv.conf") == 0)
            let error = #expect(throws: PolicyErrors.self) { try loader.loadConfiguration(folder + "/c.yaml") }
            #expect(error?.errors.first?.file == folder + "/resolv.conf")
            #expect(error?.description.contains("cannot be read") == true)
            Files.write("dns: {upstream: [10.0.0.2]}\n", to: folder + "/c.yaml")
            let named = try loader.loadConfiguration(folder + "/c.yaml")
            #expect(named.dnsUpstreams.count == 1)
        }
    }

    @Test func typesAreCanonical() throws {
        let set = try Fixtures.loader().loadPolicies(Fixtures.folder + "/valid-04-types")
        #expect(set["a"]?.allow.map(\.types) == [["MX", "TXT", "TLSA", "TYPE65280"], ["TXT", "A"]])
    }

    @Test func onlyYAMLFilesCount() throws {
        try Fixtures.withFolder { folder in
            Files.write(policy("a"), to: folder + "/a.yaml")
            Files.write("nonsense: [", to: folder + "/.hidden.yaml")
            Files.write("nonsense: [", to: folder + "/README.md")
            Files.write("nonsense: [", to: folder + "/a.yaml~")
            let loaded1 = try load(Fixtures.loader(), folder, \.name)
            #expect(loaded1 == ["a"])
            _ = unsafe mkdir(folder + "/b.yaml", 0o755)
            _ = unsafe mkfifo(folder + "/c.yaml", 0o600)
            _ = unsafe symlink("/nonexistent", folder + "/d.yaml")
            #expect(
                errors(Fixtures.loader(), folder) == [
                    "b.yaml: is a folder; a policy is a file", "c.yaml: is no regular file",
                    "d.yaml: cannot be read: No such file or directory",
                ]
            )
        }
    }

    @Test func symbolicLinksAreFollowed() throws {
        try Fixtures.withFolder { folder in
            Files.write(policy("a"), to: folder + "/target")
            _ = unsafe symlink("target", folder + "/a.yaml")
            let loader = Fixtures.loader()
            let loaded2 = try load(loader, folder, \.name)
            #expect(loaded2 == ["a"])
            Fixtures.settle()
            Files.write(policy("b"), to: folder + "/target")
            let loaded3 = try load(loader, folder, \.name)
            #expect(loaded3 == ["b"])
        }
    }

    @Test func tooLargeIsRefusedUnread() throws {
        try Fixtures.withFolder { folder in
            let line = "# a comment that fills the file, and fills it more than anyone should\n"
            let text = policy("a") + String(repeating: line, count: (1 << 20) / line.utf8.count + 1)
            Files.write(text, to: folder + "/a.yaml")
            #expect(errors(Fixtures.loader(), folder) == ["a.yaml: the file has more than 1 MiB; split it"])
            Files.write(String(text.prefix(1 << 20)), to: folder + "/a.yaml")
            #expect(errors(Fixtures.loader(), folder) == [])
        }
    }

    @Test func mistakesWithoutEndAreCutOff() throws {
        try Fixtures.withFolder { folder in
            let ports = String(repeating: "x,", count: 100_000)
            Files.write(policy("a", more: "allow: [{to: [any], ports: [\(ports)]}]\n"), to: folder + "/a.yaml")
            let found = errors(Fixtures.loader(), folder)
            #expect(found.count == 101)
            #expect(found.last?.hasSuffix("more mistakes follow; mend those above first") == true)
        }
    }

    @Test func oneBadFileKeepsTheOthersFromLoadingAndForgetsNothing() throws {
        try Fixtures.withFolder { folder in
            let loader = Fixtures.loader()
            Files.write(policy("a"), to: folder + "/a.yaml")
            Files.write(policy("b"), to: folder + "/b.yaml")
            Fixtures.settle()
            #expect(try loader.loadPolicies(folder).workloads.count == 2)
            // a changes while b is broken: both must show once b is mended.
            Files.write(policy("a", more: "unknown: observe\n"), to: folder + "/a.yaml")
            Files.write("workload: b\n", to: folder + "/b.yaml")
            let missing = "b.yaml:1:1: required key 'identity' is missing; write 'identity: {cgroup: GLOB}'"
            #expect(errors(loader, folder) == [missing])
            #expect(errors(loader, folder) == [missing])
            Files.write(policy("b", cgroup: "b2"), to: folder + "/b.yaml")
            let set = try loader.loadPolicies(folder)
            #expect(set["a"]?.unknown == .observe)
            #expect(set["b"]?.cgroup.text == "b2")
            #expect(set.identify(cgroup: "/b", uid: 0) == .unidentified)
        }
    }

    @Test func conflictsAreFoundInReloads() throws {
        try Fixtures.withFolder { folder in
            let loader = Fixtures.loader()
            Files.write(policy("a"), to: folder + "/a.yaml")
            #expect(errors(loader, folder) == [])
            Files.write(policy("a", cgroup: "z"), to: folder + "/b.yaml")
            let taken =
                "b.yaml:1:11: workload 'a' is already defined in \(folder)/a.yaml; give one of them another name"
            let found = errors(loader, folder)
            #expect(found.map { $0.replacing("in a.yaml", with: "in \(folder)/a.yaml") } == [taken])
            // The one that was there first gives way.
            _ = unsafe unlink(folder + "/a.yaml")
            let loaded4 = try load(loader, folder, \.cgroup.text)
            #expect(loaded4 == ["z"])
        }
    }

    @Test func namesCanBeSwapped() throws {
        try Fixtures.withFolder { folder in
            let loader = Fixtures.loader()
            Files.write(policy("a"), to: folder + "/1.yaml")
            Files.write(policy("b"), to: folder + "/2.yaml")
            #expect(errors(loader, folder) == [])
            Files.write(policy("b"), to: folder + "/1.yaml")
            Files.write(policy("a"), to: folder + "/2.yaml")
            let set = try loader.loadPolicies(folder)
            #expect(set["a"]?.file == folder + "/2.yaml")
            #expect(set.workloads.map(\.name) == ["a", "b"])
        }
    }

    @Test func usersAreLookedUpAnew() throws {
        try Fixtures.withFolder { folder in
            var uid: UInt32? = 1001
            var asked = 0
            let loader = PolicyLoader(
                resolveUser: { _ in
                    asked += 1
                    return uid
                },
                resolverFile: "/nonexistent",
            )
            Files.write("workload: a\nidentity: {cgroup: a, user: trainer}\n", to: folder + "/a.yaml")
            Files.write("workload: b\nidentity: {cgroup: b, user: trainer}\n", to: folder + "/b.yaml")
            let loaded5 = try load(loader, folder, \.user)
            #expect(loaded5 == [1001, 1001])
            #expect(asked == 1)
            uid = 1002
            let loaded6 = try load(loader, folder, \.user)
            #expect(loaded6 == [1002, 1002])
            uid = nil
            #expect(errors(loader, folder).count == 2)
        }
    }

    /// Enough files for the second thread, and stamps old enough to be trusted.
    @Test func manyFiles() throws {
        try Fixtures.withFolder { folder in
            let loader = Fixtures.loader()
            for number in 0..<1200 { Files.write(policy("w\(number)"), to: "\(folder)/\(number).yaml") }
            Fixtures.settle()
            let first = try loader.loadPolicies(folder)
            #expect(first.workloads.count == 1200)
            #expect(try loader.loadPolicies(folder) == first)
            // In place, by rename, gone, and new: each at both ends, where the threads begin and end.
            let names = Files.names(in: folder)
            for (place, name) in [names[0], names[599], names[600], names[1199]].enumerated() {
                Files.write(policy("in-place-\(place)"), to: "\(folder)/\(name)")
            }
            let changed = try loader.loadPolicies(folder)
            #expect(changed.workloads.count { $0.name.hasPrefix("in-place") } == 4)
            #expect(changed.workloads.count == 1200)
            Fixtures.settle()
            Files.write(policy("renamed"), to: folder + "/new")
            _ = unsafe rename(folder + "/new", "\(folder)/\(names[7])")
            _ = unsafe unlink("\(folder)/\(names[8])")
            Files.write(policy("added"), to: folder + "/added.yaml")
            let last = try loader.loadPolicies(folder)
            #expect(last.workloads.count == 1200)
            #expect(last["renamed"] != nil && last["added"] != nil)
            #expect(try last == Fixtures.loader().loadPolicies(folder))
            Fixtures.settle()
            Files.write("workload: [", to: "\(folder)/\(names[9])")
            #expect(errors(loader, folder).count == 1)
            Files.write(policy("mended"), to: "\(folder)/\(names[9])")
            #expect(try loader.loadPolicies(folder)["mended"] != nil)
        }
    }

    /// Whatever happens to the files, a loader with a memory says what one without says.
    @Test func reloadsAgreeWithFirstLoads() throws {
        try Fixtures.withFolder { folder in
            var random = SystemRandomNumberGenerator()
            let loader = Fixtures.loader()
            for _ in 0..<150 {
                let path = "\(folder)/\(Int.random(in: 0..<5, using: &random)).yaml"
                switch Int.random(in: 0..<6, using: &random) {
                case 0: _ = unsafe unlink(path)
                case 1: Files.write("workload: [", to: path)
                default:
                    let name = "w\(Int.random(in: 0..<5, using: &random))"
                    let cgroup = "c\(Int.random(in: 0..<9, using: &random))"
                    Files.write(policy(name, cgroup: cgroup), to: path)
                }
                if Bool.random(using: &random) { continue }
                let fresh = Fixtures.loader()
                let expected = errors(fresh, folder)
                let found = errors(loader, folder)
                #expect(found.isEmpty == expected.isEmpty, "\(found) and \(expected)")
                if expected.isEmpty {
                    let (one, other) = (try loader.loadPolicies(folder), try fresh.loadPolicies(folder))
                    #expect(one == other)
                    for number in 0..<9 {
                        let path = "/c\(number)/x"
                        #expect(one.identify(cgroup: path, uid: 1) == other.identify(cgroup: path, uid: 1))
                    }
                }
            }
        }
    }

    /// Cut and changed at every byte, a policy is read or refused; it never stops the reader.
    @Test func damagedFilesNeverTrap() throws {
        let whole = try #require(Files.read(Fixtures.folder + "/valid-03-forms/policy.yaml"))
        var refused = 0
        for index in whole.indices {
            for damaged in [
                Array(whole[..<index]), whole[..<index] + [UInt8.random(in: 0...255)] + whole[(index + 1)...],
            ] {
                do {
                    _ = try PolicyReader.read(damaged, file: "x", resolveUser: Fixtures.uid)
                } catch {
                    refused += 1
                    #expect(!error.errors.isEmpty)
                }
            }
        }
        #expect(refused > whole.count / 4)
    }
}
