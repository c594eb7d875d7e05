import Glibc

/// The most bytes that an input may have; more is a mistake of whoever writes them.
private let inputLimit = 1 << 20

/// The next input on standard input; nil at its end, or when it ends within an input.
func nextInput() -> [UInt8]? {
    guard let length = take(4) else { return nil }
    let count = length.reduce(0) { $0 << 8 | Int($1) }
    return count <= inputLimit ? take(count) : nil
}

/// Exactly so many bytes; nil when there are not so many.
private func take(_ count: Int) -> [UInt8]? {
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
        while filled < count {
            let more = unsafe read(STDIN_FILENO, buffer.baseAddress?.advanced(by: filled), count - filled)
            guard more > 0 else { return }
            filled += more
        }
    }
    return bytes.count == count ? bytes : nil
}
