import Glibc
import Model

/// What stands in one of the files of `AheadFile`: a line that says where it begins, and one for each denial.
struct AheadContent {
    enum Entry {
        case denial(AheadFile.Line)
        /// The denial of this packet was taken back: one that stands before, for a number may come again.
        case takenBack(AheadFile.Packet)
        /// What an element had counted that was to be taken out of the kernel.
        case counted(AheadFile.Counter, Event)
        case beginning(AheadFile.Beginning)
    }

    /// Which of two files is the older one; 0 for an empty file.
    private(set) var turn: Int64 = 0
    /// The last place in the record when the file was begun.
    private(set) var after: Int64 = 0
    private(set) var entries: [Entry] = []
    /// The bytes of whole lines.
    private(set) var size = 0

    /// Reads a file; a line that was cut off, or that is none, is passed over: nothing was done about its packet.
    init(of descriptor: Int32, _ path: String) throws(StoreError) {
        var line: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = unsafe pread(descriptor, &buffer, buffer.count, off_t(size + line.count))
            guard count >= 0 else { throw StoreError.system(call: "read", path: path, code: errno) }
            guard count > 0 else { return }
            var rest = buffer[..<count]
            while let end = rest.firstIndex(of: 0x0a) {
                line += rest[..<end]
                rest = rest[(end + 1)...]
                if let json = try? JSON.parse(line, limit: .max) { take(json) }
                size += line.count + 1
                line.removeAll(keepingCapacity: true)
            }
            line += rest
        }
    }

    private mutating func take(_ json: JSON) {
        let packet = Self.packet(json)
        if let turn = json["turn"]?.integer, let after = json["after"]?.integer {
            (self.turn, self.after) = (turn, after)
        } else if let counter = Self.counter(json) {
            guard let event = Self.event(json) else { return }
            let isTaken = json["taken"]?.bool == true
            entries.append(isTaken ? .denial(AheadFile.Line(event: event, taken: counter)) : .counted(counter, event))
        } else if let event = Self.event(json) {
            let meets = json["meets"].flatMap { Self.counter($0) }
            entries.append(.denial(AheadFile.Line(event: event, packet: packet, meets: meets)))
        } else if let beginning = Self.beginning(json) {
            entries.append(.beginning(beginning))
        } else if let packet {
            entries.append(.takenBack(packet))
        }
    }

    private static func event(_ json: JSON) -> Event? { json["event"].flatMap { try? Event($0) } }

    private static func counter(_ json: JSON) -> AheadFile.Counter? {
        guard let set = json["set"]?.string, let bytes = json["key"]?.array else { return nil }
        let key = bytes.compactMap { $0.integer.flatMap { UInt8(exactly: $0) } }
        return key.count == bytes.count ? AheadFile.Counter(set: set, key: key) : nil
    }

    private static func beginning(_ json: JSON) -> AheadFile.Beginning? {
        guard let local = address(json["local"]), let localPort = port(json["localPort"]),
            let remote = address(json["remote"]), let remotePort = port(json["remotePort"]),
            let initial = json["initial"]?.integer.flatMap({ UInt32(exactly: $0) })
        else { return nil }
        let destination = Destination(address: remote, port: remotePort, transport: .tcp)
        return AheadFile.Beginning(local: local, localPort: localPort, remote: destination, initial: initial)
    }

    private static func address(_ json: JSON?) -> IPAddress? { json?.string.flatMap { IPAddress($0) } }

    private static func port(_ json: JSON?) -> UInt16? { json?.integer.flatMap { UInt16(exactly: $0) } }

    private static func packet(_ json: JSON) -> AheadFile.Packet? {
        guard let queue = json["queue"]?.integer.flatMap({ UInt16(exactly: $0) }),
            let number = json["packet"]?.integer.flatMap({ UInt32(exactly: $0) })
        else { return nil }
        return AheadFile.Packet(queue: queue, number: number)
    }

    /// What is left in files, the older one first.
    static func left(of contents: [AheadContent], after: Int64) -> AheadFile.Left {
        var left = AheadFile.Left(after: after)
        var lines: [AheadFile.Line?] = []
        var places: [AheadFile.Packet: [Int]] = [:]
        for entry in contents.flatMap(\.entries) {
            switch entry {
            case .denial(let line):
                if let counter = line.taken { left.counts[counter] = nil }
                if let packet = line.packet { places[packet, default: []].append(lines.count) }
                lines.append(line)
            case .takenBack(let packet): for place in places.removeValue(forKey: packet) ?? [] { lines[place] = nil }
            case .counted(let counter, let event): left.counts[counter] = event
            case .beginning(let beginning): left.beginnings.append(beginning)
            }
        }
        left.lines = lines.compactMap(\.self)
        return left
    }

    // MARK: Writing

    static func head(turn: Int64, after: Int64) -> JSON { ["turn": .integer(turn), "after": .integer(after)] }

    static func json(_ entry: Entry) -> JSON {
        switch entry {
        case .denial(let line):
            line.taken.map { json($0, line.event, isTaken: true) } ?? json(line.packet, line.meets, line.event)
        case .takenBack(let packet): json(packet, nil, nil)
        case .counted(let counter, let event): json(counter, event, isTaken: false)
        case .beginning(let beginning): json(beginning)
        }
    }

    private static func json(_ packet: AheadFile.Packet?, _ meets: AheadFile.Counter?, _ event: Event?) -> JSON {
        JSON(
            present: [
                "queue": JSON(packet?.queue), "packet": JSON(packet?.number),
                "meets": meets.map { ["set": .string($0.set), "key": json($0.key)] }, "event": event?.json,
            ]
        )
    }

    private static func json(_ counter: AheadFile.Counter, _ event: Event, isTaken: Bool) -> JSON {
        ["set": .string(counter.set), "key": json(counter.key), "taken": .bool(isTaken), "event": event.json]
    }

    private static func json(_ key: [UInt8]) -> JSON { .array(key.map { .integer(Int64($0)) }) }

    private static func json(_ beginning: AheadFile.Beginning) -> JSON {
        [
            "local": .string("\(beginning.local)"), "localPort": .integer(Int64(beginning.localPort)),
            "remote": .string("\(beginning.remote.address)"), "remotePort": .integer(Int64(beginning.remote.port)),
            "initial": .integer(Int64(beginning.initial)),
        ]
    }
}
