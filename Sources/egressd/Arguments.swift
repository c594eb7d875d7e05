internal import Model
internal import Policy

/// Why a command line makes no sense; the command ends with status 2.
struct UsageError: Error {
    let message: String

    init(_ message: String) { self.message = message }
}

/// The words of a command line, taken one by one.
struct Arguments {
    private var words: [String]

    init(_ words: [String]) { self.words = words }

    /// Takes `--name` out; whether it was there.
    mutating func flag(_ name: String) -> Bool {
        guard let index = words.firstIndex(of: name) else { return false }
        words.remove(at: index)
        return true
    }

    /// Takes `--name VALUE` or `--name=VALUE` out.
    mutating func option(_ name: String) throws -> String? {
        for (index, word) in words.enumerated() {
            if word == name {
                guard index + 1 < words.count else { throw UsageError("\(name) needs a value") }
                let value = words[index + 1]
                words.removeSubrange(index...(index + 1))
                return value
            }
            if word.hasPrefix(name + "=") {
                words.remove(at: index)
                return String(word.dropFirst(name.count + 1))
            }
        }
        return nil
    }

    /// Takes the next word that is no option; nil when there is none.
    mutating func next() -> String? {
        guard let index = words.firstIndex(where: { !$0.hasPrefix("-") || $0 == "-" }) else { return nil }
        return words.remove(at: index)
    }

    /// As `next`, when there must be one.
    mutating func next(_ what: String) throws -> String {
        guard let word = next() else { throw UsageError("\(what) is missing") }
        return word
    }

    /// Refuses what nobody asked for.
    func finish() throws {
        guard let rest = words.first else { return }
        throw UsageError("unknown argument '\(rest)'")
    }

    /// How many ports can be approved at once.
    private static let portLimit = 16

    /// Ports as they are written in policies, with commas between: `443,8443/udp`.
    ///
    /// Each is a single one, at most 16 in all.
    static func ports(_ text: String, _ name: String) throws -> [String] {
        do {
            let ports = try text.split(separator: ",", omittingEmptySubsequences: false).map { entry in
                let spec = try PortSpec(String(entry))
                guard spec.range.lower == spec.range.upper else {
                    throw UsageError("\(name): '\(entry)' is more than one port; approve single ones, or write a rule")
                }
                return String(entry)
            }
            guard ports.count <= portLimit else {
                throw UsageError("\(name): \(ports.count) ports; at most \(portLimit) can be approved at once")
            }
            return ports
        } catch let error as TextError {
            throw UsageError("\(name): \(error)")
        }
    }

    /// The canonical text of a domain name.
    static func name(_ text: String, _ name: String) throws -> String {
        do throws(TextError) {
            return try DomainName(text).text
        } catch {
            throw UsageError("\(name): \(error)")
        }
    }

    /// A length of time in seconds: `90s`, `30m`, `2h`, `7d`.
    static func seconds(_ text: String, _ name: String) throws -> Int64 {
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        guard let unit = text.last.flatMap({ units[$0] }), let count = Int64(text.dropLast()), count > 0,
            !count.multipliedReportingOverflow(by: unit).overflow
        else { throw UsageError("\(name): '\(text)' is no length of time; write for instance 90s, 30m, 2h or 7d") }
        return count * unit
    }
}
