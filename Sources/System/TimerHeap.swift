import Model

/// A timer that was scheduled; of no use once it has fired.
package struct TimerToken: Hashable, Sendable {
    let slot: Int
    let generation: UInt32
}

/// The timers of an event loop: a binary heap by deadline, then by the order of scheduling.
///
/// A cancelled timer leaves the heap at once: ten thousand holds that end early hold no memory.
struct TimerHeap {
    private struct Entry {
        let deadline: Instant
        let order: UInt64
        let slot: Int
    }

    private struct Slot {
        var generation: UInt32 = 0
        var position = -1
        var handler: (() -> Void)?
    }

    private var heap: [Entry] = []
    private var slots: [Slot] = []
    private var free: [Int] = []
    private var order: UInt64 = 0

    var count: Int { heap.count }
    var earliest: Instant? { heap.first?.deadline }

    mutating func insert(at deadline: Instant, _ handler: @escaping () -> Void) -> TimerToken {
        let slot = free.popLast() ?? slots.count
        if slot == slots.count { slots.append(Slot()) }
        slots[slot].handler = handler
        order += 1
        heap.append(Entry(deadline: deadline, order: order, slot: slot))
        slots[slot].position = heap.count - 1
        rise(heap.count - 1)
        return TimerToken(slot: slot, generation: slots[slot].generation)
    }

    /// Takes a timer out; false when it has fired or was cancelled before.
    @discardableResult
    mutating func remove(_ token: TimerToken) -> Bool {
        guard slots.indices.contains(token.slot), slots[token.slot].generation == token.generation,
            slots[token.slot].position >= 0
        else { return false }
        remove(at: slots[token.slot].position)
        return true
    }

    /// Takes out the first timer that is due.
    mutating func next(at now: Instant) -> (() -> Void)? {
        guard let first = heap.first, first.deadline <= now else { return nil }
        let handler = slots[first.slot].handler
        remove(at: 0)
        return handler
    }

    private mutating func remove(at position: Int) {
        let slot = heap[position].slot
        let last = heap.count - 1
        if position != last {
            exchange(position, last)
        }
        heap.removeLast()
        slots[slot].handler = nil
        slots[slot].position = -1
        slots[slot].generation &+= 1
        free.append(slot)
        if position < heap.count {
            rise(position)
            sink(position)
        }
    }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        (heap[left].deadline, heap[left].order) < (heap[right].deadline, heap[right].order)
    }

    private mutating func exchange(_ left: Int, _ right: Int) {
        heap.swapAt(left, right)
        slots[heap[left].slot].position = left
        slots[heap[right].slot].position = right
    }

    private mutating func rise(_ start: Int) {
        var position = start
        while position > 0, precedes(position, (position - 1) / 2) {
            exchange(position, (position - 1) / 2)
            position = (position - 1) / 2
        }
    }

    private mutating func sink(_ start: Int) {
        var position = start
        while true {
            var least = position
            for child in (2 * position + 1)...(2 * position + 2) where child < heap.count && precedes(child, least) {
                least = child
            }
            guard least != position else { return }
            exchange(position, least)
            position = least
        }
    }
}
