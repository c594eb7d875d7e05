import Glibc

/// Takes the stamps of many files: most of what a reload costs, so two threads share it.
@safe
struct StampSweep {
    private let folder: Int32
    private let names: UnsafePointer<UInt8>
    private let offsets: UnsafePointer<Int>
    private let stamps: UnsafeMutablePointer<FileStamp?>
    private let range: Range<Int>

    /// Below this a thread costs more than it saves.
    private static let worthAThread = 512

    /// The stamps of the listing's policies in its order; nil for one that has none.
    static func take(in folder: Int32, _ listing: Listing) -> [FileStamp?] {
        let count = listing.policies.count
        var stamps = [FileStamp?](repeating: nil, count: count)
        unsafe listing.bytes.withUnsafeBufferPointer { bytes in
            unsafe listing.policies.withUnsafeBufferPointer { offsets in
                unsafe stamps.withUnsafeMutableBufferPointer { stamps in
                    guard let names = bytes.baseAddress, let offsets = offsets.baseAddress,
                        let stamps = stamps.baseAddress
                    else { return }
                    let part = { (range: Range<Int>) in
                        unsafe StampSweep(folder: folder, names: names, offsets: offsets, stamps: stamps, range: range)
                    }
                    guard count >= worthAThread else { return part(0..<count).run() }
                    both(part(0..<count / 2), part(count / 2..<count))
                }
            }
        }
        return stamps
    }

    private func run() {
        for index in range {
            var status = stat()
            let name = unsafe UnsafeRawPointer(names + offsets[index]).assumingMemoryBound(to: CChar.self)
            if unsafe fstatat(folder, name, &status, 0) == 0 { unsafe stamps[index] = FileStamp(status) }
        }
    }

    /// Runs the first on a thread of its own, which has ended when this returns, and the second on this one.
    private static func both(_ first: StampSweep, _ second: StampSweep) {
        let context = UnsafeMutablePointer<StampSweep>.allocate(capacity: 1)
        unsafe context.initialize(to: first)
        defer {
            unsafe context.deinitialize(count: 1)
            unsafe context.deallocate()
        }
        var thread = pthread_t()
        let failed = unsafe pthread_create(
            &thread,
            nil,
            { context in
                unsafe context?.assumingMemoryBound(to: StampSweep.self).pointee.run()
                return nil
            },
            context,
        )
        second.run()
        guard failed == 0 else { return first.run() }
        _ = pthread_join(thread, nil)
    }
}
