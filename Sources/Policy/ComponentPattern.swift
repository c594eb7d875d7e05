/// Patterns of one path component, where `*` stands for any bytes.
enum ComponentPattern {
    private static let star = UInt8(ascii: "*")

    /// Whether the pattern matches the whole component, which is never empty.
    static func matches(_ pattern: [UInt8], _ component: Substring.UTF8View) -> Bool {
        guard !component.isEmpty else { return false }
        var (index, position) = (0, component.startIndex)
        var retry: (index: Int, position: Substring.UTF8View.Index)?
        while position < component.endIndex {
            if index < pattern.count, pattern[index] == star {
                retry = (index, position)
                index += 1
            } else if index < pattern.count, pattern[index] == component[position] {
                index += 1
                position = component.index(after: position)
            } else {
                guard let again = retry else { return false }
                let next = component.index(after: again.position)
                retry = (again.index, next)
                (index, position) = (again.index + 1, next)
            }
        }
        return pattern[index...].allSatisfy { $0 == star }
    }

    /// A component that both patterns match; nil when there is none.
    static func common(_ left: [UInt8], _ right: [UInt8]) -> [UInt8]? {
        var failed = Set<Int>()
        guard let found = common(left[...], right[...], failed: &failed) else { return nil }
        // Only stars on both sides: any one character will do.
        return found.isEmpty ? [UInt8(ascii: "x")] : found
    }

    /// Depth first over the pairs of positions, each failed pair visited once.
    private static func common(
        _ left: ArraySlice<UInt8>,
        _ right: ArraySlice<UInt8>,
        failed: inout Set<Int>,
    ) -> [UInt8]? {
        let key = left.startIndex << 16 | right.startIndex
        guard !failed.contains(key) else { return nil }
        var result: [UInt8]?
        switch (left.first, right.first) {
        case (nil, nil):
            return []
        case (star?, _):
            result = common(left.dropFirst(), right, failed: &failed)
            if result == nil, let byte = right.first {
                result = common(left, right.dropFirst(), failed: &failed).map { byte == star ? $0 : [byte] + $0 }
            }
        case (_, star?):
            result = commonStarred(right, left, failed: &failed)
        case (let byte?, let other?) where byte == other:
            result = common(left.dropFirst(), right.dropFirst(), failed: &failed).map { [byte] + $0 }
        default:
            break
        }
        if result == nil { failed.insert(key) }
        return result
    }

    /// The same with the star at the head of the right pattern only.
    private static func commonStarred(
        _ starred: ArraySlice<UInt8>,
        _ other: ArraySlice<UInt8>,
        failed: inout Set<Int>,
    ) -> [UInt8]? {
        if let found = common(other, starred.dropFirst(), failed: &failed) { return found }
        guard let byte = other.first else { return nil }
        return common(other.dropFirst(), starred, failed: &failed).map { [byte] + $0 }
    }
}
