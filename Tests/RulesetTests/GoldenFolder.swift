import Glibc
import Policy
import PolicyFiles
import TestSupport

/// One folder of fixtures: a policy and what it compiles to.
struct GoldenFolder {
    let name: String

    private static let root = "\(Files.tests)/RulesetTests/Fixtures"

    private var path: String { "\(Self.root)/\(name)" }

    /// The names of all folders, sorted.
    static var names: [String] { Files.names(in: root).filter { $0.first?.isNumber == true } }

    struct NotOne: Error {}

    func workload() throws -> Workload {
        let loader = PolicyLoader(resolveUser: { _ in nil }, resolverFile: "/nonexistent")
        let workloads = try loader.loadPolicies(path).workloads
        guard let first = workloads.first, workloads.count == 1 else { throw NotOne() }
        return first
    }

    var golden: String? { Files.text("\(path)/golden.nft") }

    func write(_ text: String) { Files.write(text, to: "\(path)/golden.nft") }
}

/// Runs `nft -c` where it can do no harm.
enum Command {
    static func exists(_ path: String) -> Bool { unsafe access(path, X_OK) == 0 }

    /// What `nft -c -f` in a new network namespace says of the text, and its exit status.
    static func check(_ text: String) throws -> (status: Int32, output: String) {
        var template = Array("/tmp/egressd-nft-XXXXXX".utf8CString)
        let descriptor = unsafe mkstemp(&template)
        guard descriptor >= 0 else { throw Program.Failed(what: "mkstemp", number: errno) }
        close(descriptor)
        let file = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer {
            _ = unsafe unlink(file)
            _ = unsafe unlink(file + ".out")
        }
        Files.write(text, to: file)
        let status = try Program.run(["/bin/sh", "-c", "exec unshare -n nft -c -f '\(file)' >'\(file).out' 2>&1"])
        return (status, Files.text(file + ".out") ?? "")
    }
}
