/// Readers of what a process says about itself in /proc: bounded, since it is the process's own choice of words.
package enum ProcessText {
    /// How much of a command line is read, and of it kept.
    package static let commandLimit = 4096
    private static let argumentLimit = 64
    private static let textLimit = 1024
    private static let variableLimit = 256

    /// The arguments of a /proc/PID/cmdline: at most 64, and of each 1,024 bytes, what was cut marked with "…".
    package static func command(_ bytes: [UInt8]) -> [String] {
        var rest = bytes[...]
        let wasCut = bytes.count >= commandLimit
        var arguments: [String] = []
        while !rest.isEmpty {
            guard arguments.count < argumentLimit else {
                arguments[argumentLimit - 1] = "…"
                return arguments
            }
            let end = rest.firstIndex(of: 0)
            let argument = rest[..<(end ?? rest.endIndex)]
            arguments.append(shortened(argument, limit: textLimit, wasCut: end == nil && wasCut))
            rest = end.map { rest[($0 + 1)...] } ?? []
        }
        return arguments
    }

    /// The variables with these names in a /proc/PID/environ: the first of each name, of each 256 bytes.
    package static func variables(_ names: [String], in bytes: [UInt8]) -> [String: String] {
        var found: [String: String] = [:]
        for entry in bytes.split(separator: 0) {
            guard let equals = entry.firstIndex(of: UInt8(ascii: "=")) else { continue }
            let name = entry[..<equals]
            guard let known = names.first(where: { name.elementsEqual($0.utf8) }), found[known] == nil else { continue }
            found[known] = shortened(entry[(equals + 1)...], limit: variableLimit, wasCut: false)
        }
        return found
    }

    private static func shortened(_ bytes: ArraySlice<UInt8>, limit: Int, wasCut: Bool) -> String {
        var end = bytes.endIndex
        if bytes.count > limit {
            end = bytes.startIndex + limit
            // Not within a scalar: half of one would be repaired into a character that was never there.
            while end > bytes.startIndex, bytes[end] & 0xc0 == 0x80 { end -= 1 }
        }
        let text = String(decoding: bytes[..<end], as: UTF8.self)
        return wasCut || end != bytes.endIndex ? text + "…" : text
    }
}
