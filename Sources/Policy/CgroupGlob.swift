package import Model

/// A pattern of cgroup v2 paths.
///
/// `*` stands for any characters within one component. `**` is a whole component and stands for any number of
/// components, for at least one when it is the last. Everything else stands for itself, byte for byte (a backslash too:
/// systemd escapes unit names with it). The root matches nothing. A pattern that matches
/// only what lies deeper than the kernel's rules look (`CgroupDepth`) is refused.
package struct CgroupGlob: Hashable, Sendable {
    /// The pattern without a slash at either end.
    package let text: String

    /// Reads a pattern, with or without the leading slash.
    package init(_ text: String) throws(TextError) {
        let quoted = TextError.quote(text)
        var rest = text.utf8[...]
        if rest.first == UInt8(ascii: "/") { rest.removeFirst() }
        guard !rest.isEmpty else {
            throw TextError("glob \(quoted) names no cgroup; write one like 'training.slice/llm@*.service'")
        }
        let components = rest.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        var previousIsDeep = false
        for component in components {
            try Self.check(component, of: quoted)
            let isDeep = component.elementsEqual("**".utf8)
            if isDeep, previousIsDeep { throw TextError("glob \(quoted) has '**/**'; write '**' once") }
            previousIsDeep = isDeep
        }
        // A `**` may stand for no component at all, unless it is the last.
        let depth = components.count { !$0.elementsEqual("**".utf8) } + (previousIsDeep ? 1 : 0)
        guard depth <= CgroupDepth.deepest else {
            let limit = "the kernel tells cgroups apart down to \(CgroupDepth.deepest) levels"
            throw TextError("glob \(quoted) lies \(depth) deep; \(limit): write that of an ancestor")
        }
        self.text = String(Substring(rest))
    }

    private static func check(_ component: Substring.UTF8View, of quoted: String) throws(TextError) {
        guard !component.isEmpty else {
            throw TextError("glob \(quoted) has an empty component; write single slashes, and none at the end")
        }
        guard component.count <= 255 else {
            throw TextError("glob \(quoted) has a component of \(component.count) bytes; no cgroup has more than 255")
        }
        guard !component.elementsEqual(".".utf8), !component.elementsEqual("..".utf8) else {
            throw TextError("glob \(quoted) has a component '.' or '..'; write the path from the cgroup root")
        }
        // Two spellings of one text are two cgroups for the kernel: ASCII has one spelling only.
        guard component.allSatisfy({ (0x20...0x7e).contains($0) }) else {
            throw TextError("glob \(quoted) holds more than printable ASCII; systemd names no unit so")
        }
        if let odd = component.first(where: { "?[]{}".utf8.contains($0) }) {
            let shown = TextError.quote(String(UnicodeScalar(odd)))
            throw TextError("glob \(quoted) holds \(shown); only '*' and '**' are wildcards")
        }
        var previousIsStar = false
        for byte in component {
            let isStar = byte == UInt8(ascii: "*")
            if isStar, previousIsStar, component.count != 2 {
                throw TextError("glob \(quoted) has '**' inside a component; write '*' there, or '**' between slashes")
            }
            previousIsStar = isStar
        }
    }

    /// Whether the path matches; with or without its leading slash.
    package func matches(_ path: String) -> Bool {
        var path = path.utf8[...]
        if path.first == UInt8(ascii: "/") { path.removeFirst() }
        guard !path.isEmpty else { return false }
        let slash = UInt8(ascii: "/")
        guard text.utf8.contains(UInt8(ascii: "*")) else { return text.utf8.elementsEqual(path) }
        let components = path.split(separator: slash, omittingEmptySubsequences: false)
        let elements = elements
        // The last ** seen, and the component from which it would have to swallow one more.
        var (element, component) = (0, 0)
        var retry: (element: Int, component: Int)?
        while component < components.count {
            if element < elements.count {
                switch elements[element] {
                case .anyDepth:
                    retry = (element, component)
                    element += 1
                    continue
                case .one(let pattern) where ComponentPattern.matches(pattern, components[component]):
                    element += 1
                    component += 1
                    continue
                case .one:
                    break
                }
            }
            guard let again = retry else { return false }
            retry = (again.element, again.component + 1)
            (element, component) = (again.element + 1, again.component + 1)
        }
        return elements[element...].allSatisfy { $0 == .anyDepth }
    }

    /// The pattern taken apart; a `**` at the end is any depth and then one component more.
    var elements: [Element] {
        let components = text.utf8.split(separator: UInt8(ascii: "/"))
        var elements: [Element] = []
        for (index, component) in components.enumerated() {
            let isDeep = component.elementsEqual("**".utf8)
            if !isDeep || index == components.count - 1 {
                if isDeep { elements.append(.anyDepth) }
                elements.append(.one(isDeep ? [UInt8(ascii: "*")] : Array(component)))
            } else {
                elements.append(.anyDepth)
            }
        }
        return elements
    }

    /// A component of the pattern.
    enum Element: Hashable {
        case anyDepth
        case one([UInt8])
    }
}

extension CgroupGlob: CustomStringConvertible {
    package var description: String { text }
}
