import Glibc
package import Model

/// Denials on their way into the record, what the kernel's elements have counted before that is taken from them, and
/// connections whose first flights are awaited, in two small files of the state directory that are used in turn.
///
/// A line is written before anything is done about the packet that it tells of. The database has the event some milliseconds
/// later: what a daemon that is killed had in its memory is read here by the next one. The lines outlive the process, not
/// the machine. Not thread-safe.
package final class AheadFile {
    /// A denial, and the packet that waits until it is answered; or the element that had counted it and is taken.
    package struct Line: Hashable, Sendable {
        package var event: Event
        package var packet: Packet?
        /// The element that is put in force for the packet, and counts it when it comes back.
        package var meets: Counter?
        package var taken: Counter?

        package init(event: Event, packet: Packet? = nil, meets: Counter? = nil, taken: Counter? = nil) {
            self.event = event
            self.packet = packet
            self.meets = meets
            self.taken = taken
        }
    }

    /// The number of a packet in the queue of a number.
    package struct Packet: Hashable, Sendable {
        package var queue: UInt16
        package var number: UInt32

        package init(queue: UInt16, number: UInt32) {
            self.queue = queue
            self.number = number
        }
    }

    /// An element of the kernel's that counts: its set, and its key in that.
    package struct Counter: Hashable, Sendable {
        package var set: String
        package var key: [UInt8]

        package init(set: String, key: [UInt8]) {
            self.set = set
            self.key = key
        }
    }

    /// A connection whose first flight is awaited.
    package struct Beginning: Hashable, Sendable {
        package var local: IPAddress
        package var localPort: UInt16
        package var remote: Destination
        /// The sequence number of its SYN: without it nobody can tell which bytes are the first.
        package var initial: UInt32

        package init(local: IPAddress, localPort: UInt16, remote: Destination, initial: UInt32) {
            (self.local, self.localPort, self.remote, self.initial) = (local, localPort, remote, initial)
        }
    }

    /// What an earlier daemon has left.
    package struct Left: Hashable, Sendable {
        /// What it wrote and did not take back.
        package var lines: [Line] = []
        /// What elements had counted that were to be taken out of the kernel, and perhaps were: where one is still there, it
        /// counts what is told of here as well.
        package var counts: [Counter: Event] = [:]
        /// In the order in which they began: of one connection the last counts.
        package var beginnings: [Beginning] = []
        /// Where its record stood when it began.
        package var after: Int64 = 0
    }

    package let left: Left
    /// What the last write failed with; nil once one succeeded.
    package private(set) var lastError: StoreError?

    /// One of the two files.
    struct File {
        let path: String
        let descriptor: Int32
        var size = 0
        /// How many events the store has been given once it has all that stands here; not known of what an earlier daemon left.
        var given: UInt64 = 0
    }

    private var files: [File] = []
    private var current = 0
    /// The number of the file in use among all that ever were: which of two is older.
    private var turn: Int64

    /// How big a file grows before it is the other one's turn.
    private let limit: Int
    /// How big it grows while the store cannot commit: more than the events that the store holds in memory meanwhile.
    private let maximum: Int

    /// Opens the files of a state directory and reads what is left in them.
    package convenience init(directory: String) throws(StoreError) {
        try self.init(directory: directory, limit: 1 << 20, maximum: 64 << 20)
    }

    /// As above; tests make the files small.
    init(directory: String, limit: Int, maximum: Int) throws(StoreError) {
        self.limit = limit
        self.maximum = maximum
        var found: [AheadContent] = []
        do throws(StoreError) {
            for index in 0...1 {
                let path = "\(directory)/ahead-\(index)"
                files.append(File(path: path, descriptor: try StateDirectory.openPrivate(path)))
                let content = try AheadContent(of: files[index].descriptor, path)
                files[index].size = content.size
                if content.size > 0 { files[index].given = .max }
                found.append(content)
            }
        } catch {
            for file in files { Glibc.close(file.descriptor) }
            throw error
        }
        let ordered = found.sorted { $0.turn < $1.turn }
        current = found[1].turn > found[0].turn ? 1 : 0
        turn = found[current].turn
        let starts = found.filter { $0.size > 0 }.map(\.after)
        left = AheadContent.left(of: ordered, after: starts.min() ?? 0)
    }

    deinit { for file in files { Glibc.close(file.descriptor) } }

    /// Writes denials down; `given` is how many events the store has been given once it has them, and `after` the last place
    /// in its record.
    ///
    /// False when they could not be written: then they are safe only once the store has them.
    @discardableResult
    package func write(_ lines: [Line], given: UInt64, after: Int64) -> Bool {
        let isWritten = append(lines.map { .denial($0) }, after: after)
        files[current].given = max(files[current].given, given)
        return isWritten
    }

    /// Writes down what an element has counted, before it is taken out of the kernel; false as for denials.
    @discardableResult
    package func write(_ event: Event, countedBy counter: Counter, after: Int64) -> Bool {
        append([.counted(counter, event)], after: after)
    }

    /// Writes down that a first flight is awaited; false as for denials.
    @discardableResult
    package func write(_ beginning: Beginning, after: Int64) -> Bool {
        append([.beginning(beginning)], after: after)
    }

    /// Takes back the denial of a packet that is judged anew.
    @discardableResult
    package func takeBack(_ packet: Packet, after: Int64) -> Bool {
        append([.takenBack(packet)], after: after)
    }

    /// Notes that all that an earlier daemon left was taken over: the store has it once it was given so many events.
    package func settle(given: UInt64) {
        for index in files.indices where files[index].given == .max { files[index].given = given }
    }

    /// Whether it is the other file's turn: this one is full, and the store has committed, of so many events, all of the other.
    package func isFull(committed: @autoclosure () -> UInt64) -> Bool {
        files[current].size >= limit && files[1 - current].given <= committed()
    }

    /// Empties the other file and goes on there, with those of the beginnings that still matter.
    package func takeTurns(with beginnings: [Beginning], after: Int64) {
        guard truncate(1 - current, to: 0) else { return }
        current = 1 - current
        files[current].size = 0
        if !beginnings.isEmpty { _ = append(beginnings.map { .beginning($0) }, after: after) }
    }

    /// Empties the files when the store has committed everything that it was given, but for what an earlier daemon left and
    /// nobody has settled.
    package func clear() {
        for index in files.indices
        where files[index].size > 0 && files[index].given != .max && truncate(index, to: 0) {
            files[index].size = 0
        }
    }

    private func append(_ entries: [AheadContent.Entry], after: Int64) -> Bool {
        var bytes: [UInt8] = []
        let isFirst = files[current].size == 0
        if isFirst {
            turn += 1
            AheadContent.head(turn: turn, after: after).write(into: &bytes)
            bytes.append(0x0a)
        }
        for entry in entries {
            AheadContent.json(entry).write(into: &bytes)
            bytes.append(0x0a)
        }
        let file = files[current]
        guard file.size + bytes.count <= maximum else {
            lastError = .system(call: "write", path: file.path, code: EFBIG)
            return false
        }
        let count = unsafe pwrite(file.descriptor, bytes, bytes.count, off_t(file.size))
        guard count == bytes.count else {
            lastError = .system(call: "write", path: file.path, code: count < 0 ? errno : ENOSPC)
            // A piece of a line must not stand before the next.
            _ = truncate(current, to: file.size)
            return false
        }
        lastError = nil
        files[current].size += count
        return true
    }

    private func truncate(_ index: Int, to size: Int) -> Bool {
        guard ftruncate(files[index].descriptor, off_t(size)) == 0 else {
            lastError = .system(call: "truncate", path: files[index].path, code: errno)
            return false
        }
        return true
    }
}
