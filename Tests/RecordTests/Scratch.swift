import Glibc
import Model
import Testing

@testable import Record

/// A directory of its own for one test, removed afterwards.
final class Scratch {
    let parent: String
    var path: String { parent + "/state" }

    init() throws {
        // In memory where there is such a place: the loops over failures sync thousands of times.
        let base = unsafe access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
        var template = Array("\(base)/egressd-record-XXXXXX".utf8CString)
        parent = try #require(unsafe mkdtemp(&template).map { unsafe String(cString: $0) })
    }

    deinit {
        for name in (try? names(in: path)) ?? [] { unsafe unlink("\(path)/\(name)") }
        unsafe rmdir(path)
        unsafe rmdir(parent)
    }

    func names(in directory: String) throws -> [String] {
        guard let stream = unsafe opendir(directory) else {
            throw StoreError.system(call: "opendir", path: directory, code: errno)
        }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Overwrites a part of a file in the directory.
    func overwrite(_ name: String = "egressd.db", at offset: Int, with bytes: [UInt8]) throws {
        let descriptor = unsafe open("\(path)/\(name)", O_WRONLY | O_CREAT, 0o600)
        defer { close(descriptor) }
        try #require(unsafe pwrite(descriptor, bytes, bytes.count, off_t(offset)) == bytes.count)
    }

    /// The size of a file in the directory.
    func size(of name: String = "egressd.db") throws -> Int {
        var status = stat()
        try #require(unsafe stat("\(path)/\(name)", &status) == 0)
        return Int(status.st_size)
    }

    /// The records that were set aside, without their logs.
    func setAside() throws -> [String] {
        try names(in: path).filter {
            $0.hasPrefix("egressd.db.corrupt-") && !$0.hasSuffix("-wal") && !$0.hasSuffix("-shm")
        }
    }

    /// The permission bits of a file in the directory, or of the directory itself.
    func mode(of name: String = "") throws -> mode_t {
        var status = stat()
        try #require(unsafe stat("\(path)/\(name)", &status) == 0)
        return status.st_mode & 0o777
    }
}

extension Writer.Options {
    /// Small and impatient, so that tests wait for nothing.
    static func quick(capacity: Int = 65_536, batch: Int = 4096) -> Self {
        Self(capacity: capacity, batch: batch, linger: 1_000_000, retry: 5_000_000)
    }
}

/// An event that its number tells from others.
func event(_ number: Int, workload: String = "w", verdict: Verdict = .deny, kind: Event.Kind = .request) -> Event {
    var event = Event(time: WallTime(microseconds: 1_000_000 + Int64(number)), kind: kind)
    event.verdict = verdict
    event.workload = workload
    event.message = "\(number)"
    return event
}

extension [Event] {
    /// The numbers that `event` gave.
    var numbers: [Int] { compactMap { $0.message.flatMap { Int($0) } } }
}
