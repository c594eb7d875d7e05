internal import Coverage
internal import Glibc

/// `egressd coverage`: what is enforced on this host, and what is not.
enum CoverageCommand {
    static func run(_ arguments: inout Arguments) throws -> Int32 {
        if arguments.flag("--help") || arguments.flag("-h") {
            print(Help.coverage)
            return Command.Status.done
        }
        let json = arguments.flag("--json")
        let path = try arguments.option("--config") ?? "/etc/egressd/egressd.yaml"
        try arguments.finish()
        let report = CoverageReport(HostFacts(configurationPath: path))
        if json {
            print(report.json)
        } else {
            print(report.text(coloured: isatty(STDOUT_FILENO) == 1))
        }
        if report.isBlind { return Command.Status.notPermitted }
        return report.isClosed ? Command.Status.done : Command.Status.no
    }
}
