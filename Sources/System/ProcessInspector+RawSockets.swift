import Model

extension ProcessInspector {
    private static let ipprotoRaw: UInt8 = 255
    private static let hostLimit: Int32 = 4096
    /// What the searches for raw sockets are accounted to.
    private static let account = "raw sockets"

    /// Who might have sent a packet of a protocol without ports: best effort, by /proc/net/{raw,raw6,icmp,icmp6}.
    ///
    /// Those files show the network namespace of the calling thread. A socket of protocol 255 may send any protocol.
    /// The cgroups are searched first, in their order, then all processes of the host. Nil when no holder was found.
    package func holderOfRawSocket(protocol number: UInt8, uid: UInt32?, cgroups paths: [String]) -> Finding? {
        var inodes: [UInt64] = []
        for (file, kind) in [("raw", nil), ("raw6", nil), ("icmp", UInt8(1)), ("icmp6", UInt8(58))] {
            guard let text = try? SmallFile.read("/proc/thread-self/net/\(file)", limit: 1 << 18) else { continue }
            inodes += RawSocket.all(in: text).filter { socket in
                let speaks = kind ?? socket.port
                return (speaks == number || kind == nil && speaks == Self.ipprotoRaw)
                    && (uid == nil || socket.uid == uid)
            }.map(\.inode)
        }
        let start = Clock.processor()
        guard !inodes.isEmpty, let deadline = budget.deadline(for: Self.account, at: Clock.now(), processor: start)
        else { return nil }
        defer { budget.spend(Clock.processor() - start, for: Self.account) }
        // The cgroups before the rest of the host: /proc is in order of age.
        var pids = paths.flatMap { cgroups.processes(of: $0, limit: 512).processes }
        let first = Set(pids)
        pids += Self.numbers(in: "/proc", limit: Self.hostLimit).numbers.filter { !first.contains($0) }
        var search = Search()
        for pid in pids {
            guard look(through: pid, for: inodes, threadsToo: false, deadline: deadline, into: &search) else {
                return nil
            }
            guard let place = search.places.popLast() else { continue }
            guard let process = known(place.pid) else { continue }
            return finding(process, uid: uid ?? process.uid(), cgroup: cgroups.path(ofProcess: pid))
        }
        return nil
    }
}
