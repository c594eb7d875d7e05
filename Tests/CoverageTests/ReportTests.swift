import Coverage
import Model
import Policy
import Ruleset
import TestSupport
import Testing

@Suite struct ReportTests {
    @Test func theShapeDoesNotDependOnTheHost() throws {
        let some = CoverageReport(try Hosts.closed()).json
        let none = CoverageReport(HostFacts()).json
        for report in [some, none] {
            #expect(report.object?.map(\.key) == ["host", "kernel", "checks", "summary"])
            for check in report["checks"]?.array ?? [] {
                let keys = ["id", "group", "title", "state", "detail", "consequence", "mend", "bypass"]
                #expect(check.object?.map(\.key) == keys)
                #expect(check["id"]?.string?.hasPrefix("\(check["group"]?.string ?? "?").") == true)
            }
            let states = ["enforced", "partly", "open", "unknown", "absent", "residual"]
            #expect(report["summary"]?.object?.map(\.key) == states)
        }
        func ids(_ report: JSON) -> Set<String> { Set((report["checks"]?.array ?? []).compactMap { $0["id"]?.string }) }
        #expect(ids(some).count == some["checks"]?.array?.count)
        #expect(ids(none) == ids(some))
    }

    /// A number in brackets leads to a row of the table.
    @Test func everyNumberIsInTheReadme() throws {
        let text = String(decoding: try #require(Files.read(Files.package + "/README.md")), as: UTF8.self)
        let rows = text.split(separator: "\n").compactMap { line -> [Substring]? in
            line.hasPrefix("| ") ? line.dropFirst(2).prefix { $0 != "|" }.split { $0 == "," || $0 == " " } : nil
        }
        let numbers = Set(rows.joined().compactMap { Int($0) })
        let wanted = Set(CoverageReport(try Hosts.closed()).checks.compactMap(\.bypass))
        #expect(wanted.subtracting(numbers) == [])
    }

    @Test func textSaysTheStateFirstAndWraps() throws {
        var facts = try Hosts.closed()
        facts.daemon = .status(Hosts.status(observes: true))
        let lines = CoverageReport(facts).text(width: 60).split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.first == "train-1, Linux 6.12.0")
        #expect(lines.contains("  OPEN      mode: observe"))
        #expect(lines.contains("            nothing is refused on this host; it is only"))
        #expect(lines.contains("            recorded"))
        #expect(lines.contains("            → set 'mode: enforce' in the configuration, and"))
        #expect(lines.allSatisfy { $0.count <= 60 })
        #expect(lines.last?.contains("1 open") == true)
        #expect(!lines.joined().contains("\u{1b}"))
    }

    @Test func coloursOnlyWhereTheyAreAskedFor() throws {
        let text = CoverageReport(try Hosts.closed()).text(coloured: true)
        #expect(text.contains("  \u{1b}[32menforced\u{1b}[0m  the daemon"))
    }

    @Test func aNameThatAProcessChoseDoesNothingToATerminal() throws {
        var facts = try Hosts.closed()
        let name = "x\u{1b}[2J\nenforced  y"
        facts.processes = .known(Processes(actors: [Hosts.actor(capabilities: 1 << 12, name: name)]))
        let text = CoverageReport(facts).text()
        #expect(!text.contains("\u{1b}"))
        #expect(text.contains(#"job: x\u{1b}[2J\u{a}enforced"#))
    }

    /// What the report takes for the table's base chains is what the table has.
    @Test func theRoomsAreThoseOfTheLayout() throws {
        let layout = Layout(firstQueue: 8100, observesOnly: false)
        let base = layout.chains.compactMap { chain in
            chain.hook.map { hook in
                BaseChain(
                    family: .inet,
                    table: Layout.table,
                    name: chain.name,
                    hook: UInt32(hook.rawValue),
                    drops: chain.dropsByDefault,
                )
            }
        }
        var facts = try Hosts.closed()
        facts.chains = .known(base)
        #expect(facts.state("daemon.table") == .enforced)
        for index in base.indices {
            var fewer = base
            fewer.remove(at: index)
            facts.chains = .known(fewer)
            #expect(facts.state("daemon.table") == .open)
        }
    }
}
