import Glibc

/// An inotify watch on a folder, kept between loads: to which of its names something happened since the last one.
///
/// Every change to a file raises an event before the call that makes it returns, if it is made through the file's name
/// in this folder. Three are not: what goes through another hard link, what is mounted over a file, and what another
/// kernel does. The first is left to the caller, who must not rely on the watch for a file with several links; the
/// others end the reliance here. What stays: a link made after the file was looked at, or an open file whose other name
/// is gone, changes the file without an event, and stores into a shared mapping raise theirs when it is closed.
@safe struct FolderWatch: ~Copyable {
    /// What makes the present state unknown: the folder is another, or events were lost.
    private static let endings = UInt32(IN_IGNORED | IN_UNMOUNT | IN_DELETE_SELF | IN_MOVE_SELF)
    private static let events = UInt32(
        IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF
            | IN_MOVE_SELF | IN_ONLYDIR
    )
    /// As many reads as empty the longest queue there is by default: 16,384 events.
    private static let readLimit = 64
    private static let readSize = 1 << 16

    private let queue: Int32
    /// `/proc/self/mountinfo`, which says by `poll` whether the mounts have changed.
    private let mounts: Int32
    private var watch: Int32?
    private var device: UInt64 = 0
    private var inode: UInt64 = 0

    /// A watch on nothing yet; nil when the system has none to give.
    init?() {
        let mounts = unsafe open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)
        guard mounts >= 0 else { return nil }
        let queue = inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC))
        guard queue >= 0 else {
            close(mounts)
            return nil
        }
        self.queue = queue
        self.mounts = mounts
    }

    deinit {
        close(queue)
        close(mounts)
    }

    /// The names that something happened to since the last call; nil when it cannot vouch for the others.
    ///
    /// After nil the folder is watched from now on, if it can be: so everything must be looked at after the call, and
    /// what the next call leaves out is as it was then.
    mutating func changes(in folder: borrowing Folder, _ stamp: FileStamp) -> Set<FileName>? {
        let areMountsSame = !haveMountsChanged()
        let names = drain()
        if watch != nil, device == stamp.device, inode == stamp.inode { return areMountsSame ? names : nil }
        arm(folder, stamp)
        return nil
    }

    private mutating func arm(_ folder: borrowing Folder, _ stamp: FileStamp) {
        disarm()
        guard LocalFileSystem.holds(folder.descriptor) else { return }
        // Through the descriptor: the folder's path may lead elsewhere by now.
        let watch = unsafe inotify_add_watch(queue, "/proc/self/fd/\(folder.descriptor)", Self.events)
        guard watch >= 0 else { return }
        self.watch = watch
        (device, inode) = (stamp.device, stamp.inode)
    }

    private mutating func disarm() {
        guard let watch else { return }
        inotify_rm_watch(queue, watch)
        self.watch = nil
    }

    /// Whether anything was mounted or unmounted since the last call.
    private func haveMountsChanged() -> Bool {
        var descriptor = pollfd(fd: mounts, events: Int16(POLLPRI), revents: 0)
        return unsafe poll(&descriptor, 1, 0) != 0
    }

    /// Empties the queue; nil when it does not tell everything.
    private mutating func drain() -> Set<FileName>? {
        var names: Set<FileName>? = []
        var buffer = [UInt8](repeating: 0, count: Self.readSize)
        for _ in 0..<Self.readLimit {
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(queue, $0.baseAddress, $0.count) }
            guard count > 0 else { return count < 0 && errno == EAGAIN ? names : nil }
            unsafe buffer.withUnsafeBytes { buffer in
                unsafe take(UnsafeRawBufferPointer(rebasing: buffer.prefix(count)), &names)
            }
        }
        return nil
    }

    /// Takes the names out of events as `inotify(7)` lays them out: a header, the name, NULs up to the next header.
    private mutating func take(_ events: UnsafeRawBufferPointer, _ names: inout Set<FileName>?) {
        let header = MemoryLayout<inotify_event>.size
        var rest = unsafe events[...]
        while unsafe rest.count >= header {
            let event = unsafe rest.loadUnaligned(as: inotify_event.self)
            unsafe rest = rest.dropFirst(header)
            let name = unsafe rest.prefix(Int(event.len)).prefix { $0 != 0 }
            unsafe rest = rest.dropFirst(Int(event.len))
            if event.mask & UInt32(IN_Q_OVERFLOW) != 0 { names = nil }
            guard event.wd == watch else { continue }
            if event.mask & Self.endings != 0 { disarm() }
            // One without a name is about the folder itself.
            if let text = unsafe String(validating: name, as: UTF8.self), !text.isEmpty {
                names?.insert(FileName(text))
            } else {
                names = nil
            }
        }
    }
}
