import Model
import Ruleset

/// The sets of the table, as the kernel keeps them: what fails there is an error here.
struct KernelModel {
    struct Entry {
        var element: SetElement
        var expires: Instant?
        var packets: UInt64 = 0
    }

    /// Since 6.12 an element that is added again gets the new timeout.
    let renewsTimeouts: Bool
    private let definitions: [String: SetDefinition]
    private(set) var sets: [String: [[UInt8]: Entry]] = [:]
    private(set) var intervals: [String: [SetElement]] = [:]
    private(set) var errors: [String] = []

    init(renewsTimeouts: Bool) {
        self.renewsTimeouts = renewsTimeouts
        let layout = Layout(firstQueue: 8100, observesOnly: false)
        self.definitions = Dictionary(uniqueKeysWithValues: layout.sets.map { ($0.name, $0) })
    }

    /// One transaction: deletes before adds in each change, in the order of the changes.
    mutating func apply(_ changes: [ElementChange], at now: Instant) {
        for change in changes {
            guard let definition = definitions[change.set] else {
                errors.append("there is no set \(change.set)")
                continue
            }
            expire(change.set, at: now)
            for element in change.remove { remove(element, definition) }
            for element in change.add { add(element, definition, at: now) }
        }
    }

    private mutating func expire(_ set: String, at now: Instant) {
        guard definitions[set]?.hasTimeout == true, let entries = sets[set] else { return }
        sets[set] = entries.filter { entry in entry.value.expires.map { now < $0 } ?? true }
    }

    private mutating func remove(_ element: SetElement, _ definition: SetDefinition) {
        let name = definition.name
        if definition.isInterval {
            guard
                let place = intervals[name]?.firstIndex(where: { $0.key == element.key && $0.keyEnd == element.keyEnd })
            else {
                errors.append("\(name): an interval to delete is not there")
                return
            }
            intervals[name]?.remove(at: place)
        } else if sets[name]?.removeValue(forKey: element.key) == nil {
            errors.append("\(name): the element \(element.key) to delete is not there")
        }
    }

    private mutating func add(_ element: SetElement, _ definition: SetDefinition, at now: Instant) {
        let name = definition.name
        if element.key.count != definition.keyLength { errors.append("\(name): a key of the wrong length") }
        if (element.data != .none) != (definition.data != .none) { errors.append("\(name): data and type differ") }
        if element.timeout != 0, !definition.hasTimeout { errors.append("\(name): a timeout where none may be") }
        if definition.isInterval {
            guard let end = element.keyEnd else {
                errors.append("\(name): an interval without an end")
                return
            }
            for other in intervals[name] ?? [] where other != element {
                let otherEnd = other.keyEnd ?? other.key
                let meets = Self.fields(definition).allSatisfy { field in
                    !end[field].lexicographicallyPrecedes(other.key[field])
                        && !otherEnd[field].lexicographicallyPrecedes(element.key[field])
                }
                if meets { errors.append("\(name): two intervals overlap") }
            }
            if intervals[name]?.contains(element) != true { intervals[name, default: []].append(element) }
            return
        }
        let expires = element.timeout == 0 ? nil : now + .milliseconds(Int64(element.timeout))
        if let known = sets[name]?[element.key] {
            if known.element.data != element.data { errors.append("\(name): an element is there with other data") }
            if renewsTimeouts { sets[name]?[element.key]?.expires = expires }
            return
        }
        sets[name, default: [:]][element.key] = Entry(element: element, expires: expires)
    }

    private static func fields(_ definition: SetDefinition) -> [Range<Int>] {
        var offset = 0
        return definition.key.map { field in
            let length = (Int(field.length) + 3) & ~3
            defer { offset += length }
            return offset..<offset + length
        }
    }

    /// Another tool took the table away.
    mutating func lose() {
        sets = [:]
        intervals = [:]
    }

    mutating func clear(_ names: [String]) {
        for name in names { sets[name] = nil }
    }

    /// The element of a key, which is counted as met.
    mutating func lookUp(_ set: String, _ key: [UInt8], at now: Instant) -> SetElement? {
        guard let entry = sets[set]?[key], entry.expires.map({ now < $0 }) ?? true else { return nil }
        sets[set]?[key]?.packets += 1
        return entry.element
    }

    mutating func holds(_ set: String, _ key: [UInt8], at now: Instant) -> Bool { lookUp(set, key, at: now) != nil }

    func covers(_ set: String, _ key: [UInt8]) -> Bool {
        guard let definition = definitions[set] else { return false }
        return (intervals[set] ?? []).contains { element in
            Self.fields(definition).allSatisfy { field in
                !key[field].lexicographicallyPrecedes(element.key[field])
                    && !(element.keyEnd ?? element.key)[field].lexicographicallyPrecedes(key[field])
            }
        }
    }

    /// Removes an element; how many packets it had met.
    mutating func take(_ element: SetElement, from set: String) -> UInt64? {
        sets[set]?.removeValue(forKey: element.key)?.packets
    }

    /// The keys of a set that are in force.
    func keys(_ set: String, at now: Instant) -> [[UInt8]] {
        (sets[set] ?? [:]).filter { entry in entry.value.expires.map { now < $0 } ?? true }.map(\.key)
    }
}
