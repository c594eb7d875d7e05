extension CgroupGlob {
    /// Whether some path matches both patterns.
    package func overlaps(_ other: CgroupGlob) -> Bool { commonPath(with: other) != nil }

    /// A path that both patterns match, to show where they overlap; nil when there is none.
    package func commonPath(with other: CgroupGlob) -> String? {
        guard mayOverlap(other) else { return nil }
        var search = OverlapSearch(left: elements, right: other.elements)
        guard let components = search.from(0, 0) else { return nil }
        return components.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "/")
    }

    /// What stands before the first star; the whole text when there is none.
    var head: Substring.UTF8View { text.utf8.prefix { $0 != UInt8(ascii: "*") } }

    /// What stands after the last star; the whole text when there is none.
    ///
    /// After a `**` with its slash, for it may be none.
    var tail: Substring.UTF8View {
        let bytes = text.utf8
        guard let star = bytes.lastIndex(of: UInt8(ascii: "*")) else { return bytes[...] }
        let tail = bytes[bytes.index(after: star)...]
        // "**/x" also matches "x": its slash is not there when nothing stands before it.
        return text.utf8.starts(with: "**/".utf8) && tail.startIndex == bytes.index(bytes.startIndex, offsetBy: 2)
            ? tail.dropFirst() : tail
    }

    /// Whether what stands before the first stars can agree: cheap, and false for nearly all pairs.
    private func mayOverlap(_ other: CgroupGlob) -> Bool {
        let star = UInt8(ascii: "*")
        var (bytes, others) = (text.utf8.makeIterator(), other.text.utf8.makeIterator())
        while true {
            let (byte, otherByte) = (bytes.next(), others.next())
            if byte == star || otherByte == star { return true }
            guard byte == otherByte else { return false }
            if byte == nil { return true }
        }
    }
}

/// Looks for a sequence of components that two patterns both match.
private struct OverlapSearch {
    let left: [CgroupGlob.Element]
    let right: [CgroupGlob.Element]
    private var failed: Set<Int> = []

    init(left: [CgroupGlob.Element], right: [CgroupGlob.Element]) {
        self.left = left
        self.right = right
    }

    /// Depth first over the pairs of positions, each failed pair visited once.
    mutating func from(_ i: Int, _ j: Int) -> [[UInt8]]? {
        let key = i << 16 | j
        guard !failed.contains(key) else { return nil }
        let found = step(i, j)
        if found == nil { failed.insert(key) }
        return found
    }

    private mutating func step(_ i: Int, _ j: Int) -> [[UInt8]]? {
        switch (i < left.count ? left[i] : nil, j < right.count ? right[j] : nil) {
        case (nil, nil):
            return []
        case (.anyDepth?, .anyDepth?):
            return from(i + 1, j) ?? from(i, j + 1)
        case (.anyDepth?, let element):
            if let found = from(i + 1, j) { return found }
            guard case .one(let pattern)? = element else { return nil }
            return from(i, j + 1).map { [Self.sample(pattern)] + $0 }
        case (let element, .anyDepth?):
            if let found = from(i, j + 1) { return found }
            guard case .one(let pattern)? = element else { return nil }
            return from(i + 1, j).map { [Self.sample(pattern)] + $0 }
        case (.one(let pattern)?, .one(let other)?):
            guard let component = ComponentPattern.common(pattern, other) else { return nil }
            return from(i + 1, j + 1).map { [component] + $0 }
        default:
            return nil
        }
    }

    private static func sample(_ pattern: [UInt8]) -> [UInt8] {
        let bytes = pattern.filter { $0 != UInt8(ascii: "*") }
        return bytes.isEmpty ? [UInt8(ascii: "x")] : bytes
    }
}
