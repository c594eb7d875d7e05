import Glibc
import Model
import System
import TestSupport
import Testing

@Suite struct ProcessInspectorTests {
    /// With CAP_DAC_READ_SEARCH, and without.
    private static let everyAccess = [ProcessAccess.links, .records()].compactMap { $0 }

    private func inspector(
        _ access: ProcessAccess,
        _ cgroup: TestCgroup,
        context: [String] = [],
    ) -> ProcessInspector {
        ProcessInspector(
            context: context,
            cgroups: cgroup.tree,
            budget: SearchBudget(at: Clock.now(), isUnlimited: true),
            access: access,
        )
    }

    private let sleep = ["/bin/sleep", "100"]

    @Test(arguments: everyAccess) func theHolderIsToldWithWhatItIs(access: ProcessAccess) throws {
        let cgroup = try TestCgroup("holder")
        let socket = try openSocket()
        let child = try Child(sleep, socket: socket.rawValue, environment: ["RL_STEP=5012", "TOKEN=x"])
        try cgroup.move(child.pid)
        let inspector = inspector(access, cgroup, context: ["RL_STEP", "SLURM_JOB_ID"])
        let (process, context) = inspector.holder(
            ofSocketInode: try inode(of: socket.rawValue),
            cgroup: cgroup.path,
            uid: 1001,
        )
        #expect(process.pid == child.pid)
        #expect(process.executable?.hasSuffix("/sleep") == true)
        #expect(process.command == sleep)
        #expect(process.uid == 1001)
        #expect(process.cgroup == cgroup.path)
        #expect(!process.ancestors.isEmpty)
        #expect(process.isCertain == false)
        #expect(context == ["RL_STEP": "5012"])
    }

    @Test(arguments: everyAccess) func aSocketNextToTheLastOneIsFoundWithoutASearch(access: ProcessAccess) throws {
        let cgroup = try TestCgroup("warm")
        let sockets = [try openSocket().release(), try openSocket().release()]
        defer { for socket in sockets { close(socket) } }
        let child = try Child(sleep, socket: sockets[0], also: (sockets[1], 701))
        try cgroup.move(child.pid)
        var budget = SearchBudget(at: Instant(nanoseconds: 0))
        // A budget that is used up: whatever is found now is found by the warm path.
        let inspector = inspector(access, cgroup)
        #expect(try holder(inspector, sockets[0], cgroup).pid == child.pid)
        budget.spend(.seconds(1_000_000_000), for: cgroup.path)
        inspector.budget = budget
        #expect(try holder(inspector, sockets[1], cgroup).pid == child.pid)
        #expect(try holder(inspector, sockets[0], cgroup).pid == child.pid)
        let cold = try openSocket()
        #expect(try holder(inspector, cold.rawValue, cgroup).pid == nil)
    }

    private func holder(_ inspector: ProcessInspector, _ socket: Int32, _ cgroup: TestCgroup) throws -> ProcessRecord {
        inspector.holder(ofSocketInode: try inode(of: socket), cgroup: cgroup.path, uid: nil).process
    }

    @Test(arguments: everyAccess) func anotherProgramInTheSameProcessIsNoticed(access: ProcessAccess) throws {
        let cgroup = try TestCgroup("exec")
        let socket = try openSocket()
        var ends: [Int32] = [0, 0]
        try #require(unsafe pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        let child = try Child(["/bin/sh", "-c", "read x; exec sleep 100"], socket: socket.rawValue, input: ends[0])
        try cgroup.move(child.pid)
        let inspector = inspector(access, cgroup)
        #expect(eventually { (try? holder(inspector, socket.rawValue, cgroup).command.first) == "/bin/sh" })
        #expect(unsafe write(ends[1], "\n", 1) == 1)
        #expect(eventually { (try? holder(inspector, socket.rawValue, cgroup).command) == ["sleep", "100"] })
        #expect(try holder(inspector, socket.rawValue, cgroup).executable?.hasSuffix("/sleep") == true)
    }

    @Test(arguments: everyAccess) func certainOnlyWhenAllHoldersRunOneProgram(access: ProcessAccess) throws {
        let cgroup = try TestCgroup("certain")
        let socket = try openSocket()
        let number = try inode(of: socket.rawValue)
        let inspector = inspector(access, cgroup)
        let certain = {
            inspector.holder(ofSocketInode: number, cgroup: cgroup.path, uid: nil, needCertain: true).process
        }
        let first = try Child(sleep, socket: socket.rawValue)
        try cgroup.move(first.pid)
        #expect(certain().isCertain)
        let second = try Child(sleep, socket: socket.rawValue)
        try cgroup.move(second.pid)
        #expect(certain().isCertain)
        defer { withExtendedLifetime((first, second)) {} }
        let other = try Child(["/usr/bin/tail", "-f", "/dev/null"], socket: socket.rawValue)
        try cgroup.move(other.pid)
        #expect(!certain().isCertain)
        other.end()
        #expect(eventually { certain().isCertain })
    }

    @Test(arguments: everyAccess) func aProgramThatIsNotTheHostsFileIsNotCertain(access: ProcessAccess) throws {
        let cgroup = try TestCgroup("file")
        let socket = try openSocket()
        let copy = "/tmp/egressd-test-\(getpid())-\(UInt32.random(in: 0 ... .max))-sleep"
        try copyFile("/bin/sleep", to: copy)
        let child = try Child([copy, "100"], socket: socket.rawValue)
        try cgroup.move(child.pid)
        let number = try inode(of: socket.rawValue)
        let inspector = inspector(access, cgroup)
        let ask = { inspector.holder(ofSocketInode: number, cgroup: cgroup.path, uid: nil, needCertain: true).process }
        #expect(ask().isCertain)
        // The same path, another file.
        removeFile(copy)
        try copyFile("/bin/sleep", to: copy)
        let now = ask()
        removeFile(copy)
        #expect(now.pid == child.pid)
        #expect(!now.isCertain)
    }

    private func copyFile(_ source: String, to target: String) throws {
        // By another process: a child that another test starts while this one writes would hold the file open for
        // writing until it runs its program, and until then nobody can run the copy (ETXTBSY).
        #expect(try Program.run(["/bin/cp", source, target]) == 0)
    }

    @Test(arguments: everyAccess) func aHolderThatMovedAwayIsFoundWhereItIs(access: ProcessAccess) throws {
        let made = try TestCgroup("made")
        let now = try TestCgroup("now")
        let socket = try openSocket()
        let child = try Child(sleep, socket: socket.rawValue)
        try now.move(child.pid)
        let number = try inode(of: socket.rawValue)
        let holding = FileDescriptor(dup(socket.rawValue))
        let result = inspector(access, made).holder(ofSocketInode: number, cgroup: made.path, uid: 0, needCertain: true)
            .process
        // This process holds the socket too, and either may be met first.
        #expect(result.pid == child.pid || result.pid == getpid())
        #expect(result.cgroup != made.path)
        #expect(!result.isCertain)
        _ = consume holding
    }

    @Test(arguments: everyAccess) func aSocketInATableOfAThreadsOwnIsFound(access: ProcessAccess) throws {
        let cgroup = try TestCgroup("threads")
        let child = try Child(
            ["/usr/bin/python3", "-c", threadScript],
            socket: 2,
            environment: ["PYTHONDONTWRITEBYTECODE=1"],
        )
        try cgroup.move(child.pid)
        var number: UInt64?
        #expect(
            eventually {
                number = threadSocket(of: child.pid); return number != nil
            }
        )
        let inspector = inspector(access, cgroup)
        let inode = try #require(number)
        #expect(inspector.holder(ofSocketInode: inode, cgroup: cgroup.path, uid: nil).process.pid == child.pid)
        let certain = inspector.holder(ofSocketInode: inode, cgroup: cgroup.path, uid: nil, needCertain: true)
        #expect(certain.process.pid == child.pid)
    }

    /// A thread that leaves the descriptor table of its process (CLONE_FILES) and opens a socket in its own.
    private let threadScript = """
        import ctypes, socket, threading, time
        def alone():
            ctypes.CDLL(None).unshare(0x400)
            global s
            s = socket.socket()
            threading.current_thread().name
            time.sleep(100)
        t = threading.Thread(target=alone)
        t.start()
        t.join()
        """

    private func threadSocket(of pid: Int32) -> UInt64? {
        for thread in ProcessInspector.numbers(in: "/proc/\(pid)/task", limit: 64).numbers where thread != pid {
            for number in ProcessInspector.numbers(in: "/proc/\(pid)/task/\(thread)/fd", limit: 64).numbers {
                var buffer = [CChar](repeating: 0, count: 64)
                let length = unsafe readlink("/proc/\(pid)/task/\(thread)/fd/\(number)", &buffer, 64)
                let text = String(decoding: buffer.prefix(max(0, length)).map(UInt8.init(bitPattern:)), as: UTF8.self)
                if text.hasPrefix("socket:[") { return UInt64(text.dropFirst(8).dropLast()) }
            }
        }
        return nil
    }

    @Test(arguments: everyAccess) func nobodyIsARecordWithoutAPid(access: ProcessAccess) throws {
        let cgroup = try TestCgroup("nobody")
        let result = inspector(access, cgroup).holder(ofSocketInode: 1, cgroup: cgroup.path, uid: 12, needCertain: true)
        #expect(result.process == ProcessRecord(uid: 12, cgroup: cgroup.path))
    }

    @Test(arguments: everyAccess) func aDeadProcessIsNotTold(access: ProcessAccess) throws {
        let cgroup = try TestCgroup("dead")
        let socket = try openSocket()
        let child = try Child(sleep, socket: socket.rawValue)
        try cgroup.move(child.pid)
        let inspector = inspector(access, cgroup)
        #expect(try holder(inspector, socket.rawValue, cgroup).pid == child.pid)
        child.end()
        #expect(try holder(inspector, socket.rawValue, cgroup).pid != child.pid)
        #expect(inspector.process(pid: child.pid) == nil)
    }

    @Test func aProcessIsToldByItsNumber() throws {
        let cgroups = try CgroupTree()
        let inspector = ProcessInspector(context: [], cgroups: cgroups)
        let own = try #require(inspector.process(pid: getpid()))
        #expect(own.uid == geteuid())
        #expect(own.pid == getpid())
        #expect(own.cgroup == cgroups.path(ofProcess: getpid()))
        #expect(inspector.process(pid: 0) == nil)
        #expect(inspector.process(pid: -1) == nil)
        // A thread of the kernel has neither executable nor command line.
        let kernel = try #require(inspector.process(pid: 2))
        #expect(kernel.executable == nil)
        #expect(kernel.command == ["[kthreadd]"])
    }

    @Test func aSearchWithoutTimeLeftNamesNobody() throws {
        let cgroup = try TestCgroup("budget")
        let socket = try openSocket()
        let child = try Child(sleep, socket: socket.rawValue)
        try cgroup.move(child.pid)
        var budget = SearchBudget(at: Clock.now())
        _ = budget.deadline(for: cgroup.path, at: Clock.now())
        budget.spend(.seconds(1_000_000), for: cgroup.path)
        defer { withExtendedLifetime(child) {} }
        let poor = ProcessInspector(context: [], cgroups: cgroup.tree, budget: budget)
        let result = poor.holder(
            ofSocketInode: try inode(of: socket.rawValue),
            cgroup: cgroup.path,
            uid: 3,
            needCertain: true,
        )
        #expect(result.process == ProcessRecord(uid: 3, cgroup: cgroup.path))
    }

    @Test func aBudgetIsEarnedByTimeAndSharedByCgroups() {
        let start = Instant(nanoseconds: 0)
        var budget = SearchBudget(at: start)
        // One search never takes all that was earned.
        #expect(budget.deadline(for: "/a", at: start) == start + .milliseconds(20))
        budget.spend(.milliseconds(300), for: "/a")
        #expect(budget.deadline(for: "/a", at: start) == nil)
        // What one cgroup has spent leaves something to the other.
        budget.spend(.milliseconds(190), for: "/b")
        #expect(budget.deadline(for: "/b", at: start) == start + .milliseconds(10))
        let later = start + .milliseconds(120)
        #expect(budget.deadline(for: "/a", at: later) == later + .milliseconds(10))
        #expect(budget.deadline(for: "/b", at: later) == later + .milliseconds(20))
    }

    @Test(arguments: everyAccess) func theSenderOfARawPacketIsFound(access: ProcessAccess) throws {
        let cgroup = try TestCgroup("raw")
        let raw = FileDescriptor(try Errno.check(socket(AF_INET, Int32(SOCK_RAW.rawValue), Int32(IPPROTO_ICMP))))
        let child = try Child(sleep, socket: raw.rawValue)
        try cgroup.move(child.pid)
        let inspector = inspector(access, cgroup)
        let found = try #require(inspector.holderOfRawSocket(protocol: 1, uid: geteuid(), cgroups: [cgroup.path]))
        #expect(found.process.pid == child.pid)
        #expect(found.process.cgroup == cgroup.path)
        #expect(inspector.holderOfRawSocket(protocol: 253, uid: nil, cgroups: [cgroup.path]) == nil)
        #expect(inspector.holderOfRawSocket(protocol: 1, uid: 54321, cgroups: [cgroup.path]) == nil)
    }

    @Test func manyProcessesLeaveABoundedNumberOpen() throws {
        let inspector = ProcessInspector(context: [], cgroups: try CgroupTree())
        for pid in ProcessInspector.numbers(in: "/proc", limit: 4096).numbers { _ = inspector.process(pid: pid) }
        #expect(inspector.processCount > 0)
        #expect(inspector.processCount <= 256)
    }
}
