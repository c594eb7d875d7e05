internal import Model

/// Things to be done at a time, a second exact.
///
/// Adding and taking cost the same however many there are.
struct Agenda<Item> {
    private var bySecond: [Int64: [Item]] = [:]
    private(set) var earliest: Instant?

    private static func second(_ instant: Instant) -> Int64 { instant.nanoseconds / 1_000_000_000 }

    mutating func add(_ item: Item, at due: Instant) {
        // Never before it is due.
        let second = Self.second(due) + 1
        bySecond[second, default: []].append(item)
        let instant = Instant(nanoseconds: second * 1_000_000_000)
        if earliest.map({ instant < $0 }) ?? true { earliest = instant }
    }

    /// Everything that is due, which is then forgotten.
    mutating func take(until now: Instant) -> [Item] {
        guard let earliest, earliest <= now else { return [] }
        let due = bySecond.keys.filter { $0 <= Self.second(now) }.sorted()
        let items = due.flatMap { bySecond.removeValue(forKey: $0) ?? [] }
        self.earliest = bySecond.keys.min().map { Instant(nanoseconds: $0 * 1_000_000_000) }
        return items
    }
}
