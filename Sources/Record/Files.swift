import Glibc

/// The text of an errno.
func errorText(_ code: Int32) -> String {
    // glibc keeps the text of an unknown number per thread, so this is safe on any.
    unsafe strerror(code).map { unsafe String(cString: $0) } ?? "error \(code)"
}

/// What a file is, whatever its name.
struct FileIdentity: Hashable {
    var device: dev_t
    var inode: ino_t
}

/// The folder that holds the database and its lock, and the checks that keep other users out of both.
enum StateDirectory {
    static let databaseName = "egressd.db"
    static let lockName = "lock"

    /// Creates the directory when its parent exists, and refuses one that others may write to or look into.
    static func prepare(_ path: String) throws(StoreError) {
        if unsafe mkdir(path, 0o700) != 0, errno != EEXIST {
            throw StoreError.system(call: "mkdir", path: path, code: errno)
        }
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { throw StoreError.system(call: "stat", path: path, code: errno) }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw StoreError.refused(path: path, message: "is not a directory")
        }
        guard status.st_uid == geteuid() else {
            throw StoreError.refused(
                path: path,
                message: "belongs to uid \(status.st_uid); chown it to uid \(geteuid())"
            )
        }
        guard status.st_mode & 0o027 == 0 else {
            throw StoreError.refused(path: path, message: "others may use it; run chmod 0750 \(path)")
        }
    }

    /// Creates the file or takes the one that is there, never through a link, and gives it mode 0600.
    static func openPrivate(_ path: String) throws(StoreError) -> Int32 {
        let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
        guard descriptor >= 0 else { throw StoreError.system(call: "open", path: path, code: errno) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
            status.st_uid == geteuid(), fchmod(descriptor, 0o600) == 0
        else {
            close(descriptor)
            throw StoreError.refused(path: path, message: "is not a regular file of uid \(geteuid())")
        }
        return descriptor
    }

    /// Which file is the database of a directory now; nil when none is there.
    ///
    /// Throws when that cannot be told.
    static func identity(ofDatabaseIn directory: String) throws(StoreError) -> FileIdentity? {
        var status = stat()
        let path = "\(directory)/\(databaseName)"
        guard unsafe lstat(path, &status) == 0 else {
            guard errno == ENOENT else { throw StoreError.system(call: "lstat", path: path, code: errno) }
            return nil
        }
        return FileIdentity(device: status.st_dev, inode: status.st_ino)
    }

    /// Brings the names of new files to the disk.
    static func sync(_ directory: String) throws(StoreError) {
        let descriptor = unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw StoreError.system(call: "open", path: directory, code: errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw StoreError.system(call: "fsync", path: directory, code: errno) }
    }

    /// Takes the lock of the directory and leaves the pid in it; the lock lasts until the descriptor is closed.
    static func lock(_ directory: String) throws(StoreError) -> Int32 {
        let path = "\(directory)/\(lockName)"
        let descriptor = try openPrivate(path)
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            let holder = pid(in: descriptor)
            close(descriptor)
            guard code == EWOULDBLOCK else { throw StoreError.system(call: "flock", path: path, code: code) }
            throw StoreError.locked(directory: directory, pid: holder)
        }
        let text = Array("\(getpid())\n".utf8)
        guard ftruncate(descriptor, 0) == 0, unsafe pwrite(descriptor, text, text.count, 0) == text.count else {
            let code = errno
            close(descriptor)
            throw StoreError.system(call: "write", path: path, code: code)
        }
        return descriptor
    }

    private static func pid(in descriptor: Int32) -> Int32? {
        var buffer = [UInt8](repeating: 0, count: 16)
        let count = unsafe pread(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return nil }
        return Int32(String(decoding: buffer.prefix(count).prefix { $0 != 0x0a }, as: UTF8.self))
    }
}
