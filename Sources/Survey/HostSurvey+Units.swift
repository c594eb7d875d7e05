package import Coverage
internal import System

extension HostSurvey {
    /// Where systemd looks for units (systemd.unit(5)), the first that has one wins.
    private static let folders = [
        "/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
        "/lib/systemd/system",
    ]

    /// What of the daemon systemd starts by itself.
    package func units() -> HostFacts.Units {
        guard (try? files.status(of: "/run/systemd/system")) != nil else { return .absent }
        var wanted: Set<String> = []
        for folder in Self.folders {
            let targets = names(in: folder).filter { $0.hasSuffix(".wants") || $0.hasSuffix(".requires") }
            for target in targets { wanted.formUnion(names(in: "\(folder)/\(target)")) }
        }
        return .found(daemon: unit("egressd.service", wanted), boot: unit("egressd-boot.service", wanted))
    }

    private func unit(_ name: String, _ wanted: Set<String>) -> UnitFacts {
        guard let path = Self.folders.map({ "\($0)/\(name)" }).first(where: { (try? files.status(of: $0)) != nil })
        else { return UnitFacts() }
        let text = try? files.text(path)
        // A link to /dev/null, or an empty file.
        let isFile = (try? files.status(of: path)).map { $0.mode & 0o170000 == 0o100000 } ?? false
        return UnitFacts(
            exists: true,
            isMasked: !isFile || text == "",
            isEnabled: wanted.contains(name),
            hasWatchdog: Self.hasWatchdog([text ?? ""] + dropIns(of: name)),
        )
    }

    /// The texts of a unit's drop-ins in the order in which they count; of one name the first folder's counts.
    private func dropIns(of unit: String) -> [String] {
        var texts: [String: String] = [:]
        // Those of all services give way to the unit's own.
        for folder in Self.folders.map({ "\($0)/\(unit).d" }) + Self.folders.map({ "\($0)/service.d" }) {
            for name in names(in: folder) where name.hasSuffix(".conf") && texts[name] == nil {
                texts[name] = (try? files.text("\(folder)/\(name)")) ?? ""
            }
        }
        return texts.sorted { $0.key < $1.key }.map(\.value)
    }

    /// The last assignment counts.
    private static func hasWatchdog(_ texts: [String]) -> Bool {
        var value: Substring = ""
        for line in texts.joined(separator: "\n").split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0].filter({ !$0.isWhitespace }) == "WatchdogSec" else { continue }
            value = parts[1].drop(while: \.isWhitespace)
        }
        // `0`, `0s`, `infinity`: none.
        return value.contains { ("1"..."9").contains($0) }
    }

    private func names(in folder: String) -> [String] { (try? files.names(in: folder)) ?? [] }
}
