import Glibc
import Policy
import PolicyFiles
import TestSupport
import Testing

/// A loader that looks only at what its watch names must miss nothing.
struct WatchTests {
    /// Runs the body with a folder of five policies and a loader that has settled on them.
    private func withLoader(_ body: (PolicyLoader, String) throws -> Void) throws {
        try Fixtures.withFolder { folder in
            for name in ["a", "b", "c", "d", "e"] { write(name, to: folder + "/\(name).yaml") }
            Fixtures.settle()
            let loader = Fixtures.loader()
            try check(loader, folder, "a b c d e")
            try check(loader, folder, "a b c d e")
            #expect(loader.examined == 0)
            try body(loader, folder)
        }
    }

    private func write(_ name: String, to path: String, more: String = "") {
        Files.write("workload: \(name)\nidentity: {cgroup: \(name)}\n\(more)", to: path)
    }

    private func names(_ loader: PolicyLoader, _ folder: String) throws -> String {
        try loader.loadPolicies(folder).workloads.map(\.name).joined(separator: " ")
    }

    /// Whether the folder holds these workloads now.
    private func check(
        _ loader: PolicyLoader,
        _ folder: String,
        _ expected: String,
        at location: SourceLocation = #_sourceLocation,
    ) throws {
        let found = try names(loader, folder)
        #expect(found == expected, sourceLocation: location)
    }

    @Test func aWriteInPlaceIsSeenAndNothingElseLookedAt() throws {
        try withLoader { loader, folder in
            write("c2", to: folder + "/c.yaml")
            try check(loader, folder, "a b c2 d e")
            #expect(loader.examined == 1)
            Fixtures.settle()
            try check(loader, folder, "a b c2 d e")
            try check(loader, folder, "a b c2 d e")
            #expect(loader.examined == 0)
        }
    }

    @Test func aFileRenamedOverAnotherIsSeenAndNothingElseLookedAt() throws {
        try withLoader { loader, folder in
            for round in 0..<3 {
                write("c\(round)", to: folder + "/.new")
                _ = unsafe rename(folder + "/.new", folder + "/c.yaml")
                try check(loader, folder, "a b c\(round) d e")
                #expect(loader.examined == 1)
            }
        }
    }

    @Test func filesOfEditorsAreNotLookedAt() throws {
        try withLoader { loader, folder in
            for name in [".a.yaml.swp", "4913", "a.yaml~", "x.yaml", "x.yml"] {
                Files.write("[", to: "\(folder)/\(name)")
            }
            _ = unsafe unlink(folder + "/x.yaml")
            _ = unsafe unlink(folder + "/x.yml")
            try check(loader, folder, "a b c d e")
            #expect(loader.examined == 0)
            _ = unsafe unlink(folder + "/.a.yaml.swp")
        }
    }

    @Test func namesThatComeAndGoAreSeen() throws {
        try withLoader { loader, folder in
            write("f", to: folder + "/f.yaml")
            try check(loader, folder, "a b c d e f")
            _ = unsafe unlink(folder + "/a.yaml")
            try check(loader, folder, "b c d e f")
            _ = unsafe rename(folder + "/b.yaml", folder + "/b.old")
            try check(loader, folder, "c d e f")
            _ = unsafe rename(folder + "/b.old", folder + "/0.yaml")
            try check(loader, folder, "b c d e f")
            _ = unsafe rename(folder + "/c.yaml", folder + "/d.yaml")
            try check(loader, folder, "b c e f")
            Files.write("", to: folder + "/g.yml")
            #expect(throws: PolicyErrors.self) { try loader.loadPolicies(folder) }
            _ = unsafe unlink(folder + "/g.yml")
            try check(loader, folder, "b c e f")
        }
    }

    @Test func whatALinkLeadsToIsAlwaysLookedAt() throws {
        try Fixtures.withFolder { elsewhere in
            write("x", to: elsewhere + "/x")
            write("y", to: elsewhere + "/y")
            try withLoader { loader, folder in
                _ = unsafe symlink(elsewhere + "/x", folder + "/x.yaml")
                #expect(unsafe link(elsewhere + "/y", folder + "/y.yaml") == 0)
                Fixtures.settle()
                try check(loader, folder, "a b c d e x y")
                try check(loader, folder, "a b c d e x y")
                #expect(loader.examined == 2)
                write("x2", to: elsewhere + "/x")
                try check(loader, folder, "a b c d e x2 y")
                write("y2", to: elsewhere + "/y")
                try check(loader, folder, "a b c d e x2 y2")
                // A file that turns into a link is not believed either.
                _ = unsafe symlink(elsewhere + "/z", folder + "/.new")
                write("z", to: elsewhere + "/z")
                _ = unsafe rename(folder + "/.new", folder + "/e.yaml")
                try check(loader, folder, "a b c d x2 y2 z")
                Fixtures.settle()
                write("z2", to: elsewhere + "/z")
                try check(loader, folder, "a b c d x2 y2 z2")
            }
        }
    }

    @Test func anotherFolderOfTheSamePathIsSeen() throws {
        try Fixtures.withFolder { parent in
            for (name, content) in [("one", "a"), ("two", "b")] {
                _ = unsafe mkdir("\(parent)/\(name)", 0o755)
                write(content, to: "\(parent)/\(name)/p.yaml")
            }
            Fixtures.settle()
            let loader = Fixtures.loader()
            try check(loader, parent + "/one", "a")
            _ = unsafe rename(parent + "/one", parent + "/three")
            _ = unsafe rename(parent + "/two", parent + "/one")
            try check(loader, parent + "/one", "b")
            try check(loader, parent + "/one", "b")
            #expect(loader.examined == 0)
            write("b2", to: parent + "/one/p.yaml")
            try check(loader, parent + "/one", "b2")
            for name in ["one", "three"] {
                _ = unsafe unlink("\(parent)/\(name)/p.yaml")
                _ = unsafe rmdir("\(parent)/\(name)")
            }
            #expect(throws: PolicyErrors.self) { try loader.loadPolicies(parent + "/one") }
            _ = unsafe mkdir("\(parent)/one", 0o755)
            write("c", to: parent + "/one/p.yaml")
            try check(loader, parent + "/one", "c")
            _ = unsafe unlink("\(parent)/one/p.yaml")
        }
    }

    /// How many events wait at most.
    private func queueLimit() -> Int? {
        guard let file = unsafe fopen("/proc/sys/fs/inotify/max_queued_events", "r") else { return nil }
        defer { unsafe fclose(file) }
        var line = [CChar](repeating: 0, count: 32)
        guard unsafe fgets(&line, 32, file) != nil else { return nil }
        return Int(String(decoding: line.prefix { $0 > 0x20 }.map(UInt8.init), as: UTF8.self))
    }

    @Test func anOverflowingQueueIsNotBelieved() throws {
        try withLoader { loader, folder in
            let events = try #require(queueLimit())
            // Of two names in turn, for two equal events after each other are one.
            for number in 0...events { _ = unsafe chmod(folder + (number % 2 == 0 ? "/a.yaml" : "/b.yaml"), 0o644) }
            write("e2", to: folder + "/e.yaml")
            try check(loader, folder, "a b c d e2")
            #expect(loader.examined >= 5)
            write("d2", to: folder + "/d.yaml")
            Fixtures.settle()
            try check(loader, folder, "a b c d2 e2")
            #expect(loader.examined < 5)
        }
    }

    @Test func aWriteThatKeepsSizeAndTimeIsSeen() throws {
        try withLoader { loader, folder in
            var status = stat()
            #expect(unsafe stat(folder + "/c.yaml", &status) == 0)
            write("x", to: folder + "/c.yaml")
            let times = [status.st_atim, status.st_mtim]
            #expect(unsafe utimensat(AT_FDCWD, folder + "/c.yaml", times, 0) == 0)
            try check(loader, folder, "a b d e x")
        }
    }

    @Test func anEditDuringALoadIsSeenByTheNext() throws {
        try Fixtures.withFolder { folder in
            var edits = 0
            let loader = PolicyLoader(
                resolveUser: { _ in
                    edits += 1
                    write("a\(edits)", to: folder + "/a.yaml")
                    write("z\(edits)", to: folder + "/z.yaml")
                    return 1
                },
                resolverFile: "/nonexistent",
            )
            write("a", to: folder + "/a.yaml")
            write("z", to: folder + "/z.yaml")
            Files.write("workload: m\nidentity: {cgroup: m, user: trainer}\n", to: folder + "/m.yaml")
            Fixtures.settle()
            for _ in 0..<5 {
                _ = try loader.loadPolicies(folder)
                Fixtures.settle()
                let before = edits
                let read = try names(loader, folder)
                #expect(edits == before + 1)
                // It looks the user up before it looks at the files.
                #expect(read == "a\(edits) m z\(edits)")
            }
        }
    }

    @Test func mistakesAndConflictsAreToldUntilTheyAreMended() throws {
        try withLoader { loader, folder in
            write("b", to: folder + "/c.yaml")
            for _ in 0..<2 { #expect(throws: PolicyErrors.self) { try loader.loadPolicies(folder) } }
            write("b2", to: folder + "/b.yaml")
            try check(loader, folder, "a b b2 d e")
            Fixtures.settle()
            _ = try (names(loader, folder), names(loader, folder))
            Files.write("workload: [", to: folder + "/c.yaml")
            write("d2", to: folder + "/d.yaml")
            for _ in 0..<2 { #expect(throws: PolicyErrors.self) { try loader.loadPolicies(folder) } }
            write("c", to: folder + "/c.yaml")
            try check(loader, folder, "a b2 c d2 e")
        }
    }

    /// Two names that `String` takes for one.
    @Test func namesAreComparedByTheirBytes() throws {
        try withLoader { loader, folder in
            write("composed", to: folder + "/\u{e9}.yaml")
            write("decomposed", to: folder + "/e\u{301}.yaml")
            Fixtures.settle()
            try check(loader, folder, "a b c composed d decomposed e")
            write("composed2", to: folder + "/\u{e9}.yaml")
            try check(loader, folder, "a b c composed2 d decomposed e")
            #expect(loader.examined == 1)
        }
    }
}
