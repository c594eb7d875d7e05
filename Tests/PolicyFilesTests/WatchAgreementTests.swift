import Glibc
import Policy
import PolicyFiles
import TestSupport
import Testing

/// Whatever happens to a folder, a loader that watches it says what one that sees it for the first time says.
struct WatchAgreementTests {
    @Test func watchedFoldersAgreeWithFirstLoads() throws {
        let seed = SplitMix.seed()
        try Fixtures.withFolder { elsewhere in
            try Fixtures.withFolder { parent in
                var scene = Scene(random: SplitMix(state: seed), parent: parent, elsewhere: elsewhere)
                let loader = Fixtures.loader()
                for round in 0..<1200 {
                    for _ in 0..<Int.random(in: 1...3, using: &scene.random) { scene.change() }
                    // Most stamps are settled: else every file is looked at for being fresh.
                    if Int.random(in: 0..<40, using: &scene.random) == 0 { Fixtures.settle() }
                    let (found, expected) = (outcome(loader, scene.folder), outcome(Fixtures.loader(), scene.folder))
                    let place = "EGRESSD_SEED=\(seed) round \(round): \(scene.last)"
                    #expect(found == expected, "\(place)")
                    guard found == expected else { break }
                }
                scene.clear()
            }
        }
    }

    private func outcome(_ loader: PolicyLoader, _ folder: String) -> Result<PolicySet, PolicyErrors> {
        do { return .success(try loader.loadPolicies(folder)) } catch { return .failure(error) }
    }
}

/// A folder of policies that things happen to.
private struct Scene {
    var random: SplitMix
    let parent: String
    /// Where links lead to.
    let elsewhere: String
    /// What happened last.
    var last = ""
    private var version = 0

    var folder: String { parent + "/policies" }

    init(random: SplitMix, parent: String, elsewhere: String) {
        (self.random, self.parent, self.elsewhere) = (random, parent, elsewhere)
        _ = unsafe mkdir(folder, 0o755)
        for number in 0..<12 { write("p\(number)", to: "\(folder)/\(number).yaml") }
        for number in 0..<4 { write("t\(number)", to: "\(elsewhere)/\(number)") }
    }

    /// Does one thing to one file.
    mutating func change() {
        version += 1
        let number = Int.random(in: 0..<12, using: &random)
        let target = "\(elsewhere)/\(number % 4)"
        let (file, other) = ("\(folder)/\(number).yaml", "\(folder)/t\(number % 4).yaml")
        let action = Int.random(in: 0..<24, using: &random)
        last = "\(action) of \(number)"
        switch action {
        case 0: remove(file)
        case 1: remove(other)
        case 2: link(file: other, to: target, isSymbolic: true)
        case 3: link(file: other, to: target, isSymbolic: false)
        case 4, 5: write("t\(number % 4)-\(version)", to: target)
        case 6: replace(file) { path in write("p\(number)-\(version)", to: path) }
        case 7: _ = unsafe rename(file, "\(folder)/\((number + 1) % 12).yaml")
        case 8: _ = unsafe chmod(file, 0o600)
        case 9: Files.write("workload: [", to: file)
        case 10: Files.write("", to: "\(folder)/\(number).yml")
        case 11, 12: for number in 0..<12 { remove("\(folder)/\(number).yml") }
        case 13: _ = unsafe mkdir("\(folder)/d.yaml", 0o755)
        case 14, 15: remove("\(folder)/d.yaml")
        case 16: passing()
        case 17: exchange()
        case 18: keepTime(of: file) { write("q\(number)", to: file) }
        default: write("p\(number)-\(version)", to: file)
        }
    }

    func clear() {
        for name in Files.names(in: folder) { remove("\(folder)/\(name)") }
    }

    private func write(_ name: String, to path: String) {
        Files.write("workload: \(name)\nidentity: {cgroup: \(name)}\n", to: path)
    }

    private func remove(_ path: String) {
        _ = unsafe unlink(path)
        _ = unsafe rmdir(path)
    }

    private func link(file: String, to target: String, isSymbolic: Bool) {
        replace(file) { path in
            if isSymbolic { _ = unsafe symlink(target, path) } else { _ = unsafe Glibc.link(target, path) }
        }
    }

    /// Puts a new file in the place of one, as git and editors do.
    private func replace(_ file: String, make: (String) -> Void) {
        make(folder + "/.new")
        _ = unsafe rename(folder + "/.new", file)
        // Two names of one file are left alone by a rename.
        _ = unsafe unlink(folder + "/.new")
    }

    /// A policy that is gone before anybody looks.
    private func passing() {
        write("passing", to: folder + "/passing.yaml")
        _ = unsafe unlink(folder + "/passing.yaml")
    }

    /// Puts a copy of the folder in its place.
    private func exchange() {
        let copy = parent + "/copy"
        _ = unsafe mkdir(copy, 0o755)
        for name in Files.names(in: folder) where name != "d.yaml" {
            _ = unsafe rename("\(folder)/\(name)", "\(copy)/\(name)")
        }
        remove(folder + "/d.yaml")
        _ = unsafe rmdir(folder)
        _ = unsafe rename(copy, folder)
    }

    private func keepTime(of file: String, _ change: () -> Void) {
        var status = stat()
        guard unsafe stat(file, &status) == 0 else { return }
        change()
        unsafe utimensat(AT_FDCWD, file, [status.st_atim, status.st_mtim], 0)
    }
}
