import CLinux

/// An open descriptor with one owner; it is closed when the owner lets go of it.
package struct FileDescriptor: ~Copyable {
    /// The number, valid as long as this value lives.
    package let rawValue: Int32

    /// Takes ownership of an open descriptor.
    package init(_ rawValue: Int32) {
        precondition(rawValue >= 0, "a descriptor is never negative: an error was taken for one")
        self.rawValue = rawValue
    }

    deinit { _ = clx_close(rawValue) }

    /// Gives the descriptor away without closing it.
    package consuming func release() -> Int32 {
        let rawValue = rawValue
        discard self
        return rawValue
    }
}

extension FileDescriptor {
    /// How a file is opened.
    package struct Mode: OptionSet, Sendable {
        package let rawValue: Int32
        package init(rawValue: Int32) { self.rawValue = rawValue }

        package static let read = Mode(rawValue: O_RDONLY)
        package static let readWrite = Mode(rawValue: O_RDWR)
        package static let create = Mode(rawValue: O_CREAT)
        package static let directory = Mode(rawValue: O_DIRECTORY)
        package static let noFollow = Mode(rawValue: O_NOFOLLOW)
        /// Only a place in the tree (O_PATH): cannot be read, can be looked up in.
        package static let place = Mode(rawValue: Int32(bitPattern: 0o10000000))
    }

    /// Takes ownership of what a shim returned, or throws the error that it returned instead.
    package init(checking result: Int32) throws(Errno) {
        self.init(try Errno.check(result))
    }

    /// Opens a file, close-on-exec; `permissions` count only with `.create`.
    package static func open(
        _ path: String,
        _ mode: Mode,
        in directory: Int32? = nil,
        permissions: UInt32 = 0o600,
    ) throws(Errno) -> FileDescriptor {
        let result = unsafe clx_open(directory ?? AT_FDCWD, path, mode.rawValue, permissions)
        return try FileDescriptor(checking: result)
    }

    /// Takes the exclusive lock of the file (flock), which the kernel drops with the descriptor.
    ///
    /// False when somebody else has it.
    package borrowing func lock() throws(Errno) -> Bool {
        let result = clx_lock(rawValue)
        if result == -EWOULDBLOCK { return false }
        try Errno.check(result)
        return true
    }

    /// Sets the soft limit of open descriptors to the hard one; returns the limit now in force.
    @discardableResult
    package static func raiseLimit() throws(Errno) -> Int {
        Int(try Errno.check(clx_raise_descriptor_limit()))
    }
}
