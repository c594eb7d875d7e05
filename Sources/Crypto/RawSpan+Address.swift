extension RawSpan {
    /// Calls `body` with where the bytes are and how many; the address is one also when there are none.
    ///
    /// To libcrypto a null address says that an argument is absent, not that it is empty.
    func withAddress<Result>(_ body: (UnsafePointer<UInt8>, Int) -> Result) -> Result {
        unsafe withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else {
                return unsafe withUnsafePointer(to: 0) { unsafe body($0, 0) }
            }
            return unsafe body(start.assumingMemoryBound(to: UInt8.self), bytes.count)
        }
    }
}
