/// A capability of Linux (capabilities(7)), by its number.
package enum Capability: UInt64 {
    case readSearch = 2
    case netAdmin = 12

    /// Whether this thread has it in effect; nil when /proc does not say.
    package var isEffective: Bool? {
        guard let text = try? SmallFile.read("/proc/thread-self/status", limit: 1 << 16),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("CapEff:") }),
            let set = line.split(whereSeparator: \.isWhitespace).last.flatMap({ UInt64($0, radix: 16) })
        else { return nil }
        return set & 1 << rawValue != 0
    }
}
