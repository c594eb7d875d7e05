/// The types of extensions that were met, for finding one that is there twice.
struct TLSExtensionTypes {
    /// Those below 64, one bit each: all but a few of what clients send.
    private var low: UInt64 = 0
    private var high = InlineArray<64, UInt16>(repeating: 0)
    private var highCount = 0
    private(set) var count = 0

    /// Adds a type; an error when it is known, or when there are too many.
    mutating func insert(_ type: UInt16) throws(TLSError) {
        guard count < TLSClientHello.extensionLimit else { throw .tooManyExtensions }
        count += 1
        if type < 64 {
            guard low >> UInt64(type) & 1 == 0 else { throw .duplicate(type) }
            low |= 1 << UInt64(type)
            return
        }
        for index in 0..<highCount where high[index] == type { throw .duplicate(type) }
        high[highCount] = type
        highCount += 1
    }
}
