import Glibc

/// What tells one state of a file from another without reading it.
struct FileStamp: Hashable {
    let device: UInt64
    let inode: UInt64
    let size: Int64
    let modified: Int64
    let changed: Int64
    /// How many names it has.
    let links: UInt64
    let isRegular: Bool
    let isDirectory: Bool

    init(_ status: stat) {
        self.device = UInt64(status.st_dev)
        self.inode = UInt64(status.st_ino)
        self.size = Int64(status.st_size)
        self.modified = Int64(status.st_mtim.tv_sec) &* 1_000_000_000 &+ Int64(status.st_mtim.tv_nsec)
        self.changed = Int64(status.st_ctim.tv_sec) &* 1_000_000_000 &+ Int64(status.st_ctim.tv_nsec)
        self.links = UInt64(status.st_nlink)
        self.isRegular = status.st_mode & S_IFMT == S_IFREG
        self.isDirectory = status.st_mode & S_IFMT == S_IFDIR
    }

    /// Whether no other name leads to it, on this device.
    func hasOneName(on device: UInt64) -> Bool { isRegular && links == 1 && self.device == device }

    /// Whether a later change could have left the stamp as it is.
    ///
    /// It could when the stamp was taken within the grain of the file system's clock after the last change (whole
    /// seconds where a time has no fraction), or when the clock was set back.
    func isFresh(at now: Int64) -> Bool {
        now < changed &+ (changed % 1_000_000_000 == 0 ? 2_000_000_000 : 50_000_000)
    }
}

/// An open folder.
@safe struct Folder: ~Copyable {
    private let stream: OpaquePointer
    let descriptor: Int32

    /// Opens the folder; throws what the system said.
    init(_ path: String) throws(SystemError) {
        let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemError(errno) }
        guard let stream = unsafe fdopendir(descriptor) else {
            let error = SystemError(errno)
            close(descriptor)
            throw error
        }
        unsafe self.stream = stream
        self.descriptor = descriptor
    }

    deinit { unsafe closedir(stream) }

    /// The stamp of the folder itself, which changes with every name that comes or goes.
    borrowing func stamp() throws(SystemError) -> FileStamp {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { throw SystemError(errno) }
        return FileStamp(status)
    }

    /// What is in the folder, those that begin with a dot left out; throws what the system said.
    borrowing func list() throws(SystemError) -> Listing {
        var listing = Listing()
        while true {
            errno = 0
            guard let entry = unsafe readdir(stream) else {
                guard errno == 0 else { throw SystemError(errno) }
                return listing
            }
            let field = unsafe UnsafeRawPointer(entry) + (MemoryLayout<dirent>.offset(of: \.d_name) ?? 0)
            let name = unsafe field.assumingMemoryBound(to: CChar.self)
            let bytes = unsafe UnsafeRawBufferPointer(start: name, count: strlen(name))
            let inode = unsafe Int(entry.pointee.d_type) == DT_REG ? UInt64(entry.pointee.d_ino) : 0
            if unsafe bytes.first != UInt8(ascii: ".") { unsafe listing.append(bytes, inode: inode) }
        }
    }

    /// The stamps of all the files that a listing calls policies, in its order; nil for one that has none.
    borrowing func stamps(_ listing: Listing) -> [FileStamp?] { StampSweep.take(in: descriptor, listing) }

    /// The stamp of a file, symbolic links followed unless the link itself is meant.
    borrowing func stamp(_ name: FileName, ofLink: Bool = false) throws(SystemError) -> FileStamp {
        var status = stat()
        guard unsafe fstatat(descriptor, name.text, &status, ofLink ? AT_SYMLINK_NOFOLLOW : 0) == 0 else {
            throw SystemError(errno)
        }
        return FileStamp(status)
    }

    /// The content of a file and the stamp it had before it was read, at most `limit` and one bytes.
    borrowing func read(_ name: FileName, limit: Int) throws(SystemError) -> (bytes: [UInt8], stamp: FileStamp) {
        try SmallFile.read(at: descriptor, name.text, limit: limit)
    }
}

/// Reads whole files that are known to be small.
enum SmallFile {
    /// The content of a file and the stamp it had before it was read.
    ///
    /// Reads at most `limit` and one bytes.
    static func read(
        at folder: Int32 = AT_FDCWD,
        _ name: String,
        limit: Int,
    ) throws(SystemError) -> (bytes: [UInt8], stamp: FileStamp) {
        // Not to wait for a writer, should it be a FIFO.
        let descriptor = unsafe openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw SystemError(errno) }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { throw SystemError(errno) }
        let stamp = FileStamp(status)
        guard stamp.isRegular else { return ([], stamp) }
        var bytes = [UInt8](repeating: 0, count: min(Int(clamping: stamp.size), limit) + 1)
        var count = 0
        while true {
            if count == bytes.count {
                guard count <= limit else { break }
                bytes += [UInt8](repeating: 0, count: min(4096, limit + 1 - count))
            }
            let step = unsafe bytes.withUnsafeMutableBytes { buffer in
                let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[count...])
                return unsafe Glibc.read(descriptor, rest.baseAddress, rest.count)
            }
            guard step >= 0 || errno == EINTR else { throw SystemError(errno) }
            if step == 0 { break }
            count += max(step, 0)
        }
        bytes.removeLast(bytes.count - count)
        return (bytes, stamp)
    }
}

/// What the system said when a file could not be read.
struct SystemError: Error {
    private let code: Int32

    init(_ code: Int32) { self.code = code }

    /// Whether there is no file of that name.
    var isMissing: Bool { code == ENOENT }

    /// As `strerror` says it, with the mend where there is one.
    var message: String {
        let text = unsafe String(cString: strerror(code))
        return code == EACCES ? text + "; the daemon reads as user egressd: chgrp egressd, chmod g+rX" : text
    }
}

/// The wall clock in nanoseconds, to tell fresh stamps.
func wallClock() -> Int64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
}
