import CLinux

/// Stream sockets in the file system.
package enum UnixSocket {
    /// Listens at a path, which must not exist; close-on-exec and non-blocking.
    ///
    /// The file has its permissions before anybody can connect. ENAMETOOLONG beyond 107 bytes.
    package static func listen(at path: String, permissions: UInt32, backlog: Int32) throws(Errno) -> FileDescriptor {
        let socket = try FileDescriptor(checking: unsafe clx_unix_bind(path))
        do {
            try Errno.check(unsafe clx_change_mode(path, permissions))
            try Errno.check(clx_unix_listen(socket.rawValue, backlog))
        } catch {
            _ = unsafe clx_unlink(path)
            throw error
        }
        return socket
    }

    /// Connects; the socket blocks.
    package static func connect(to path: String) throws(Errno) -> FileDescriptor {
        try FileDescriptor(checking: unsafe clx_unix_connect(path, false))
    }

    /// Makes way at a path for a new socket: what is left of a server that is gone is removed.
    ///
    /// EADDRINUSE when somebody answers there, EEXIST when it is no socket.
    package static func makeWay(at path: String) throws(Errno) {
        var file = clx_file()
        let found = unsafe clx_stat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &file)
        if found == -ENOENT { return }
        try Errno.check(found)
        guard file.mode & UInt32(S_IFMT) == UInt32(S_IFSOCK) else { throw Errno.exists }
        let connected = unsafe clx_unix_connect(path, true)
        if connected >= 0 { _ = clx_close(connected) }
        // Anything but a refusal is somebody: EAGAIN has a full backlog, EPROTOTYPE listens for another kind.
        guard connected == -ECONNREFUSED else { throw connected == -EACCES ? Errno.accessDenied : Errno.addressInUse }
        try Errno.check(unsafe clx_unlink(path))
    }

    /// Makes the folder of a path (0755) if it is missing, not those above it.
    package static func makeFolder(of path: String) throws(Errno) {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return }
        let result = unsafe clx_make_directory(String(path[..<slash]), 0o755)
        if result != -EEXIST { try Errno.check(result) }
    }

    /// The device and inode of the file at a path; nil when there is none.
    package static func identity(of path: String) -> [UInt64]? {
        var file = clx_file()
        guard unsafe clx_stat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &file) >= 0 else { return nil }
        return [file.device, file.inode]
    }

    /// Removes the file at a path; nothing when there is none.
    package static func remove(_ path: String) { _ = unsafe clx_unlink(path) }

    /// The next connection, non-blocking; nil when nobody waits.
    package static func accept(on listener: Int32) throws(Errno) -> FileDescriptor? {
        let result = clx_accept(listener)
        if result == -EAGAIN { return nil }
        return try FileDescriptor(checking: result)
    }

    /// Appends what has come, at most `limit` bytes: their count, 0 at the end, nil when nothing is there yet or in
    /// time.
    package static func receive(
        on socket: Int32,
        into buffer: inout [UInt8],
        limit: Int = 65536,
    ) throws(Errno) -> Int? {
        var result = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: limit) { bytes, count in
            guard let start = bytes.baseAddress else { return }
            result = unsafe clx_read(socket, start, limit)
            count = Swift.max(0, result)
        }
        if result == -Int(EAGAIN) { return nil }
        try Errno.check(result)
        buffer += bytes
        return result
    }

    /// Sends what the buffer holds from an offset on: how many bytes went out, nil when none would.
    ///
    /// Never raises SIGPIPE.
    package static func send(on socket: Int32, _ bytes: [UInt8], from offset: Int = 0) throws(Errno) -> Int? {
        guard offset < bytes.count else { return 0 }
        let result = unsafe bytes.withUnsafeBytes { buffer in
            guard let start = buffer.baseAddress else { return 0 }
            return unsafe clx_send(socket, start + offset, buffer.count - offset)
        }
        if result == -Int(EAGAIN) { return nil }
        return try Errno.check(result)
    }

    /// Lets `receive` on a blocking socket give up after this long; 0 for never.
    package static func setReceiveTimeout(on socket: Int32, milliseconds: Int64) throws(Errno) {
        try Errno.check(clx_set_receive_timeout(socket, milliseconds))
    }

    /// Waits until something can be received, or the other side is gone; false when nobody reads any more what is written to
    /// `output`.
    package static func awaitInput(on socket: Int32, whileRead output: Int32) throws(Errno) -> Bool {
        try Errno.check(clx_await_input(socket, output)) != 0
    }

    /// Two connected sockets, non-blocking.
    package static func pair() throws(Errno) -> [Int32] {
        var first: Int32 = -1
        var second: Int32 = -1
        try Errno.check(unsafe clx_pair(&first, &second))
        return [first, second]
    }
}
