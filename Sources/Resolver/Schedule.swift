internal import Model

/// What is due when: a binary heap in which every key stands at most once.
struct Schedule<Key: Hashable & Sendable>: Sendable {
    private struct Entry {
        var due: Instant
        let key: Key
    }

    private var heap: [Entry] = []
    private var places: [Key: Int] = [:]

    var count: Int { heap.count }
    var earliest: Instant? { heap.first?.due }

    /// Puts the key in, or moves it.
    mutating func set(_ key: Key, at due: Instant) {
        if let place = places[key] {
            heap[place].due = due
            settle(place)
        } else {
            heap.append(Entry(due: due, key: key))
            places[key] = heap.count - 1
            settle(heap.count - 1)
        }
    }

    mutating func remove(_ key: Key) {
        guard let place = places.removeValue(forKey: key), let last = heap.popLast(), place < heap.count else { return }
        heap[place] = last
        places[last.key] = place
        settle(place)
    }

    /// The first key that is due; it stays in.
    func due(at now: Instant) -> Key? {
        guard let first = heap.first, first.due <= now else { return nil }
        return first.key
    }

    private mutating func settle(_ start: Int) {
        var place = start
        while place > 0, heap[place].due < heap[(place - 1) / 2].due {
            swap(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
        while true {
            var least = place
            for child in (2 * place + 1)...(2 * place + 2)
            where child < heap.count && heap[child].due < heap[least].due { least = child }
            guard least != place else { return }
            swap(place, least)
            place = least
        }
    }

    private mutating func swap(_ left: Int, _ right: Int) {
        heap.swapAt(left, right)
        places[heap[left].key] = left
        places[heap[right].key] = right
    }
}
