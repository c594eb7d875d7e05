internal import CNetfilter
package import Ruleset

extension Table {
    /// What an element of a counting set has met.
    package struct Counter: Hashable, Sendable {
        package var packets: UInt64
        /// The mark that a map gives for it; 0 in a set.
        package var mark: UInt32
    }

    /// How many packets each element of a counting set has met, by key.
    package func counts(of set: String) throws(NetfilterError) -> [[UInt8]: Counter] {
        var counts = Counts()
        let result = unsafe withUnsafeMutablePointer(to: &counts) { pointer in
            unsafe enf_elements_dump(socket, Self.inet, Layout.table, set, pointer) {
                context,
                key,
                length,
                mark,
                packets in
                let bytes = unsafe Array(UnsafeBufferPointer(start: key, count: Int(length)))
                unsafe context?.assumingMemoryBound(to: Counts.self).pointee.byKey[bytes] = Counter(
                    packets: packets,
                    mark: mark,
                )
            }
        }
        try check(result, "reading the counters of set \(set)")
        return counts.byKey
    }

    /// Removes an element and says how many packets it had met when none could find it any more; nil: not there.
    package func take(_ element: SetElement, from set: String) throws(NetfilterError) -> UInt64? {
        var packets: UInt64 = 0
        let result = unsafe enf_element_take(
            socket,
            Self.inet,
            Layout.table,
            set,
            element.key,
            UInt32(element.key.count),
            &packets,
        )
        if result == -NetfilterError.notFound { return nil }
        try check(result, "taking a counter from set \(set)")
        return packets
    }

    private struct Counts {
        var byKey: [[UInt8]: Counter] = [:]
    }
}
