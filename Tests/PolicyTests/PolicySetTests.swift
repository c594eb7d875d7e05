import Policy
import Testing

struct PolicySetTests {
    @Test func theNearestNamedAncestorDecides() throws {
        let set = try PolicySet([
            Make.workload("outer", cgroup: "training.slice"),
            Make.workload("inner", cgroup: "training.slice/llm@*.service"),
            Make.workload("deep", cgroup: "training.slice/*/sandbox/**"),
        ])
        let whose = { set.identify(cgroup: $0, uid: 7) }
        #expect(whose("/training.slice") == .workload("outer"))
        #expect(whose("training.slice/x") == .workload("outer"))
        #expect(whose("/training.slice/llm@1.service") == .workload("inner"))
        #expect(whose("/training.slice/llm@1.service/a/b") == .workload("inner"))
        #expect(whose("/training.slice/llm@1.service/sandbox") == .workload("inner"))
        #expect(whose("/training.slice/llm@1.service/sandbox/a") == .workload("deep"))
        #expect(whose("/training.slice2") == .unidentified)
        #expect(whose("/") == .unidentified)
        #expect(whose("") == .unidentified)
    }

    @Test func belowTheDeepestLevelAnAncestorDecides() throws {
        let set = try PolicySet([
            Make.workload("job", cgroup: "a/job"), Make.workload("leaf", cgroup: "a/**/leaf"),
        ])
        let whose = { set.identify(cgroup: $0, uid: 7) }
        #expect(whose("/a/job/3/4/5/6/7/leaf") == .workload("leaf"))
        #expect(whose("/a/job/3/4/5/6/7/leaf/9/10") == .workload("leaf"))
        #expect(whose("/a/job/3/4/5/6/7/8/leaf") == .workload("job"))
        #expect(whose("/a/2/3/4/5/6/7/8/leaf") == .unidentified)
    }

    @Test func anotherUserIsNeitherTheWorkloadNorItsParent() throws {
        let set = try PolicySet([
            Make.workload("outer", cgroup: "a"), Make.workload("inner", cgroup: "a/b", user: 7),
        ])
        #expect(set.identify(cgroup: "/a/b/c", uid: 7) == .workload("inner"))
        #expect(set.identify(cgroup: "/a/b/c", uid: 0) == .wrongUser("inner"))
        #expect(set.identify(cgroup: "/a/b/c", uid: nil) == .workload("inner"))
        #expect(set.identify(cgroup: "/a/x", uid: 0) == .workload("outer"))
    }

    @Test func usersShareACgroup() throws {
        let set = try PolicySet([
            Make.workload("seven", cgroup: "a/*", user: 7), Make.workload("eight", cgroup: "a/b*", user: 8),
        ])
        #expect(set.identify(cgroup: "/a/b", uid: 7) == .workload("seven"))
        #expect(set.identify(cgroup: "/a/b", uid: 8) == .workload("eight"))
        #expect(set.identify(cgroup: "/a/b", uid: 9) == .wrongUser("eight"))
        #expect(set.identify(cgroup: "/a/b", uid: nil) == .ambiguous)
        #expect(set.identify(cgroup: "/a/c", uid: nil) == .workload("seven"))
    }

    @Test func conflicts() throws {
        let workloads = [
            try Make.workload("a", cgroup: "t/*.service"), try Make.workload("b", cgroup: "t/job*"),
            try Make.workload("c", cgroup: "t/job7"), try Make.workload("d", cgroup: "u"),
            try Make.workload("d", cgroup: "v"), try Make.workload("e", cgroup: "t/x*", user: 7),
            try Make.workload("f", cgroup: "t/xy", user: 8),
        ]
        let error = #expect(throws: PolicyConflicts.self) { try PolicySet(workloads) }
        let found = Set((error?.conflicts ?? []).map { "\($0.first.workload)-\($0.second.workload) \($0.kind)" })
        #expect(
            found == [
                "d-d name", "a-b identity(path: \"t/job.service\")", "b-c identity(path: \"t/job7\")",
                "a-e identity(path: \"t/x.service\")",
            ]
        )
    }

    /// The walk over sorted heads finds a conflict for every workload that has one, and none that is not.
    @Test func conflictsAgreeWithTryingEveryPair() throws {
        var random = SystemRandomNumberGenerator()
        let parts = ["a", "b", "ab", "*", "a*", "*b", "a*b", "**"]
        for _ in 0..<300 {
            let workloads = try (0..<6).map { number in
                var glob = (0..<Int.random(in: 1...3, using: &random)).map { _ in
                    parts.randomElement(using: &random) ?? "a"
                }
                while let twice = glob.indices.dropLast().first(where: { glob[$0] == "**" && glob[$0 + 1] == "**" }) {
                    glob.remove(at: twice)
                }
                return try Make.workload(
                    "w\(number)",
                    cgroup: glob.joined(separator: "/"),
                    user: [nil, 7, 8].randomElement(using: &random) ?? nil,
                )
            }
            let hasConflict = workloads.indices.contains { i in
                workloads.indices.contains { j in
                    let (left, right) = (workloads[i], workloads[j])
                    let shareUsers = left.user == nil || right.user == nil || left.user == right.user
                    return i < j && shareUsers && left.cgroup.overlaps(right.cgroup)
                }
            }
            let found = (try? PolicySet(workloads)) == nil
            #expect(found == hasConflict, "\(workloads.map { "\($0.cgroup) \($0.user ?? 0)" })")
            // One by one must come to the same end.
            var grown: PolicySet? = PolicySet.empty
            for workload in workloads { grown = try? grown?.replacing([], with: [workload]) }
            #expect((grown == nil) == hasConflict)
        }
    }

    /// The index answers as trying every glob on every ancestor would, also after workloads came and went.
    @Test func identifyAgreesWithTryingEveryGlob() throws {
        let globs = [
            "a", "a/b", "a/b*", "a/*c", "a/b*c/**", "*/x", "**/y", "a/*-1.service", "a/*-2.service", "b/**/z", "c/d/e",
            "**/q*",
        ]
        var workloads: [Workload] = []
        for glob in globs {
            let next = try Make.workload("w\(workloads.count)", cgroup: glob)
            if (try? PolicySet(workloads + [next])) != nil { workloads.append(next) }
        }
        #expect(workloads.count >= 7)
        let some = Set(workloads.prefix(4).map(\.name))
        let set = try PolicySet(workloads).replacing(some, with: []).replacing([], with: Array(workloads.prefix(4)))
        #expect(set == (try PolicySet(workloads)))
        let names = ["a", "b", "bc", "c", "x", "y", "z", "q1", "k-1.service", "k-2.service", "d", "e"]
        for first in names {
            for second in names {
                for third in names {
                    let path = "/\(first)/\(second)/\(third)"
                    let tries = [path, "/\(first)/\(second)", "/\(first)"]
                    let owner = tries.lazy.compactMap { path in workloads.first { $0.cgroup.matches(path) } }.first
                    let expected = owner.map { Identification.workload($0.name) } ?? .unidentified
                    #expect(set.identify(cgroup: path, uid: 1) == expected, "\(path)")
                }
            }
        }
    }

    @Test func replacing() throws {
        let set = try PolicySet([Make.workload("a", cgroup: "a"), Make.workload("b", cgroup: "b")], folder: "p")
        let next = try set.replacing(["a"], with: [Make.workload("c", cgroup: "a/x")])
        #expect(next.workloads.map(\.name) == ["b", "c"])
        #expect(next.folder == "p")
        #expect(next["a"] == nil)
        #expect(next["c"]?.cgroup.text == "a/x")
        #expect(next.identify(cgroup: "/a", uid: 0) == .unidentified)
        #expect(set.identify(cgroup: "/a", uid: 0) == .workload("a"))
        #expect(throws: PolicyConflicts.self) { try set.replacing([], with: [Make.workload("a", cgroup: "z")]) }
        #expect(throws: PolicyConflicts.self) { try set.replacing(["a"], with: [Make.workload("c", cgroup: "b")]) }
    }
}
