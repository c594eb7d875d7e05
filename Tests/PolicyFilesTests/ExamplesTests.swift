import Glibc
import Model
import Policy
import PolicyFiles
import TestSupport
import Testing

/// What the package ships to start from must load on a host where nothing has been set up.
struct ExamplesTests {
    /// A host with no users but the system's.
    private let loader = PolicyLoader(resolveUser: { _ in nil }, resolverFile: "/nonexistent")

    @Test func policiesLoadAndMeetTheirExpectations() throws {
        let set = try loader.loadPolicies(Files.package + "/policies")
        #expect(set.workloads.count >= 4)
        #expect(set.failures.map(\.description) == [])
        #expect(set.workloads.allSatisfy { !$0.expect.isEmpty }, "an example without expectations teaches none")
        #expect(set["rl-agents"]?.unknown == .hold(.seconds(30)))
    }

    @Test func theReadmesPolicyLoadsToo() throws {
        let text = String(decoding: try #require(Files.read(Files.package + "/README.md")), as: UTF8.self)
        let lines = text.split(separator: "\n").drop { $0 != "# /etc/egressd/policies/llm-pretrain.yaml" }
        try Fixtures.withFolder { folder in
            let bytes = Array(lines.prefix { $0 != "```" }.joined(separator: "\n").utf8)
            let file = unsafe try #require(fopen(folder + "/llm-pretrain.yaml", "w"))
            unsafe fwrite(bytes, 1, bytes.count, file)
            unsafe fclose(file)
            let set = try loader.loadPolicies(folder)
            #expect(set.workloads.map(\.name) == ["llm-pretrain"] && set.failures.isEmpty)
        }
    }

    @Test func identitiesFindTheirWorkloads() throws {
        let set = try loader.loadPolicies(Files.package + "/policies")
        let whose = { set.identify(cgroup: $0, uid: 1000) }
        #expect(whose("/training.slice/llm-pretrain@1.service") == .workload("llm-pretrain"))
        let experiment = "/training.slice/training-rl.slice/training-rl-maze.slice"
        #expect(whose("\(experiment)/agent@3.service/tool") == .workload("rl-agents"))
        #expect(whose("/training.slice/training-data.slice/a/b") == .workload("data-preparation"))
        #expect(whose("/training.slice") == .unidentified)
    }

    @Test func hostConfigurationSaysItsDefaults() throws {
        var written = try loader.loadConfiguration(Files.package + "/systemd/egressd.yaml")
        #expect(written.context == ["SLURM_JOB_ID", "SLURM_STEP_ID", "RL_STEP"])
        written.context = []
        var defaults = HostConfiguration()
        defaults.path = written.path
        #expect(written == defaults)
    }
}
