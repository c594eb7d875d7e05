package import Ruleset

/// An element that the kernel would not put into a set, or take out of it.
package struct RefusedElement: Hashable, Sendable {
    package let set: String
    package let isRemoval: Bool
    /// The errno value.
    package let code: Int32

    package init(set: String, isRemoval: Bool, code: Int32) {
        (self.set, self.isRemoval, self.code) = (set, isRemoval, code)
    }

    /// Whether it was to be taken out and is not there: its time ran out, or somebody was faster.
    package var isGone: Bool { isRemoval && code == NetfilterError.notFound }
}

extension Table {
    /// As `replace`, for changes that the kernel has refused: has all of them in force but for the elements that it refuses,
    /// which are told.
    ///
    /// Throws when the kernel could not do it just now: some may be in force then, and all may be asked for again.
    package func replaceApart(_ sets: [String], _ changes: [ElementChange]) throws(NetfilterError) -> [RefusedElement] {
        var (sets, unemptied) = (sets, [RefusedElement]())
        let refused = try Self.apart(changes) { singles throws(NetfilterError) in
            for set in sets { transaction.flushElements(of: set) }
            for single in singles { transaction.change(single) }
            guard !transaction.isEmpty else { return [:] }
            let codes = try commitTelling("changing single elements of table inet \(Layout.table)")
            guard !codes.isEmpty else {
                sets = []
                return [:]
            }
            // The sets come first; one that is not there has no elements.
            for (place, set) in sets.enumerated() {
                if let code = codes[place] { unemptied.append(RefusedElement(set: set, isRemoval: true, code: code)) }
            }
            let count = sets.count
            sets = sets.enumerated().filter { codes[$0.offset] == nil }.map(\.element)
            return Dictionary(uniqueKeysWithValues: codes.map { ($0.key - count, $0.value) })
        }
        return unemptied + refused
    }

    /// Has `commit` put changes in force element by element; which it refused.
    ///
    /// All of them are one transaction: the kernel refuses it as a whole, but tells of every message in it that it would not
    /// do, and each element has one. Those are left out of the next. To find them by halves would take a transaction for
    /// each half, and one that is refused takes the kernel some 10 ms, however small it is. It is done where the kernel refuses
    /// without telling what. The order stays: of each change what it removes, then what it adds.
    ///
    /// `commit` gives the errno values of what is refused, by place; other places are of nobody here.
    static func apart(
        _ changes: [ElementChange],
        _ commit: ([ElementChange]) throws(NetfilterError) -> [Int: Int32],
    ) throws(NetfilterError) -> [RefusedElement] {
        var refused: [RefusedElement] = []
        // The next part is the last one: what is put in force is put in force in order.
        var parts = [changes.flatMap(\.singles)[...]]
        while let part = parts.popLast() {
            do throws(NetfilterError) {
                let codes = try commit(Array(part))
                guard !codes.isEmpty else { continue }
                var rest: [ElementChange] = []
                for (place, single) in part.enumerated() {
                    if let code = codes[place] {
                        refused.append(RefusedElement(single, code))
                    } else {
                        rest.append(single)
                    }
                }
                parts.append(rest[...])
            } catch {
                guard !error.isPassing, let first = part.first else { throw error }
                guard part.count > 1 else {
                    refused.append(RefusedElement(first, error.code))
                    continue
                }
                let middle = part.startIndex + part.count / 2
                parts += [part[middle...], part[..<middle]]
            }
        }
        return refused
    }
}

extension RefusedElement {
    fileprivate init(_ single: ElementChange, _ code: Int32) {
        self.init(set: single.set, isRemoval: !single.remove.isEmpty, code: code)
    }
}

extension ElementChange {
    /// The same, one element each.
    fileprivate var singles: [ElementChange] {
        remove.map { ElementChange(set: set, remove: [$0]) } + add.map { ElementChange(set: set, add: [$0]) }
    }
}
