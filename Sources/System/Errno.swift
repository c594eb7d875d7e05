import CLinux

/// An error number of the kernel.
package struct Errno: Error, Hashable, Sendable {
    /// The positive number, as in errno(3).
    package let code: Int32

    /// The error with this positive number.
    package init(_ code: Int32) { self.code = code }

    package static let notFound = Errno(ENOENT)
    package static let noProcess = Errno(ESRCH)
    package static let exists = Errno(EEXIST)
    package static let accessDenied = Errno(EACCES)
    package static let notPermitted = Errno(EPERM)
    package static let wouldBlock = Errno(EAGAIN)
    package static let connectionRefused = Errno(ECONNREFUSED)
    package static let addressInUse = Errno(EADDRINUSE)
    package static let brokenPipe = Errno(EPIPE)
    package static let tooManyOpenFiles = Errno(EMFILE)
    package static let tooManyOpenFilesOnHost = Errno(ENFILE)
    package static let invalidArgument = Errno(EINVAL)
    package static let timedOut = Errno(ETIMEDOUT)

    /// Passes a result that is at least 0 on, and throws what a shim returns as -errno.
    @discardableResult
    package static func check<Result: SignedInteger>(_ result: Result) throws(Errno) -> Result {
        guard result < 0 else { return result }
        throw Errno(Int32(clamping: -result))
    }
}

extension Errno: CustomStringConvertible {
    /// `Operation not permitted`.
    package var text: String { unsafe String(bytes: 256) { unsafe clx_error_text(code, $0, $1) } ?? "" }

    /// `EPERM: Operation not permitted`.
    package var description: String {
        guard let name = unsafe clx_error_name(code) else { return "error \(code): \(text)" }
        return unsafe "\(String(cString: name)): \(text)"
    }
}

extension String {
    /// The text that a shim writes into a buffer; nil when it returns an error.
    ///
    /// Invalid UTF-8 is repaired.
    init?<Count: SignedInteger>(bytes capacity: Int, _ fill: (UnsafeMutablePointer<CChar>, Int) -> Count) {
        let text: String? = unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: capacity) { buffer in
            guard let start = buffer.baseAddress else { return nil }
            let length = unsafe Int(fill(start, capacity))
            guard length >= 0 else { return nil }
            let bytes = unsafe UnsafeRawBufferPointer(start: start, count: Swift.min(length, capacity))
            return unsafe String(decoding: bytes, as: UTF8.self)
        }
        guard let text else { return nil }
        self = text
    }
}
