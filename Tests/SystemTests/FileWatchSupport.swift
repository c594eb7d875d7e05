import Glibc
import System
import Testing

/// A folder of its own for a test; removed with the value.
final class WatchedFolder {
    let path: String

    init() throws {
        var template = Array("/tmp/egressd-watch-XXXXXX".utf8CString)
        path = try #require(
            unsafe template.withUnsafeMutableBufferPointer { buffer in
                guard let start = buffer.baseAddress, let made = unsafe mkdtemp(start) else { return String?.none }
                return unsafe String(cString: made)
            },
        )
    }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    func write(_ name: String, _ text: String) throws {
        let file = try FileDescriptor.open(file(name), [.readWrite, .create])
        let bytes = Array(text.utf8)
        #expect(ftruncate(file.rawValue, 0) == 0)
        #expect(unsafe Glibc.write(file.rawValue, bytes, bytes.count) == bytes.count)
    }

    func move(_ name: String, to other: String) { #expect(unsafe rename(file(name), file(other)) == 0) }
    func link(_ name: String, to target: String) { #expect(unsafe symlink(target, file(name)) == 0) }
    func make(_ name: String) { #expect(makeFolder(file(name))) }
    func remove(_ name: String) { removeFile(file(name)) }

    deinit {
        for name in ["etc/resolv.conf", "etc/next", "etc/other", "etc/link", "run/a/stub", "run/a/next", "run/b/stub"] {
            removeFile(file(name))
        }
        removeFile(file("etc"))
        for name in ["etc", "old", "run/a", "run/b", "run", ""] { _ = removeFolder(file(name)) }
    }
}
