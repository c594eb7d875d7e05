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

    /// How many packets an element has met; nil: not there.
    package func count(of element: SetElement, in set: String) throws(NetfilterError) -> UInt64? {
        try unsafe packets(of: element, in: set, "reading a counter of set \(set)", enf_element_count)
    }

    /// Removes an element and says how many packets it had met when none could find it any more; nil: not there.
    package func take(_ element: SetElement, from set: String) throws(NetfilterError) -> UInt64? {
        try unsafe packets(of: element, in: set, "taking a counter from set \(set)", enf_element_take)
    }

    private func packets(
        of element: SetElement,
        in set: String,
        _ operation: String,
        _ ask: CounterRequest,
    ) throws(NetfilterError) -> UInt64? {
        var packets: UInt64 = 0
        let result = unsafe ask(socket, Self.inet, Layout.table, set, element.key, UInt32(element.key.count), &packets)
        if result == -NetfilterError.notFound { return nil }
        try check(result, operation)
        return packets
    }

    private typealias CounterRequest =
        @convention(c) (
            Int32, UInt8, UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafePointer<UInt8>, UInt32,
            UnsafeMutablePointer<UInt64>,
        ) -> Int32

    private struct Counts {
        var byKey: [[UInt8]: Counter] = [:]
    }
}
