import Coverage
import Policy
import Survey
import System
import TestSupport
import Testing

@Suite struct HostSurveyTests {
    private let root: Root

    init() throws { root = try Root() }

    private func policies(user: UInt32? = 1001) throws -> PolicySet {
        try PolicySet([Workload(name: "job", cgroup: CgroupGlob("training.slice/*.service"), user: user)])
    }

    private func processes(_ policies: PolicySet) throws -> Processes {
        try #require(root.survey.processes(policies, groups: { [$0, 998] }).value)
    }

    @Test func processesBelongToWorkloadsByTheirCgroup() throws {
        try root.process(10, cgroup: "/training.slice/a.service/deep", capabilities: "0000000000002000")
        try root.process(11, "sudo", cgroup: "/training.slice/a.service", uid: 0)
        try root.process(12, cgroup: "/system.slice/b.service")
        try root.process(13, cgroup: "/", parent: 2)
        let found = try processes(policies())
        #expect(found.actors.map(\.process?.pid) == [10, 11])
        #expect(found.actors.map(\.workload) == ["job", "job"])
        #expect(found.actors.map(\.uid) == [1001, 0])
        #expect(found.actors[0].groups == [1001, 27, 998])
        #expect(found.actors[0].process?.capabilities == 1 << 13)
        #expect(found.actors[0].process?.isConfined == true && found.actors[0].process?.isInNetwork == true)
        #expect(found.unidentified == 1 && found.areAll)
    }

    @Test func aWorkloadWithoutAProcessIsItsUser() throws {
        try root.process(12, cgroup: "/system.slice/b.service")
        #expect(
            try processes(policies()).actors == [Actor(workload: "job", process: nil, uid: 1001, groups: [1001, 998])]
        )
        let anyone = try processes(policies(user: nil)).actors
        #expect(anyone == [Actor(workload: "job", process: nil, uid: nil, groups: [])])
    }

    @Test func otherNamespaces() throws {
        try root.process(
            10,
            cgroup: "/training.slice/a.service",
            capabilities: "000001ffffffffff",
            apart: ["net", "user"]
        )
        try root.process(11, cgroup: "/training.slice/a.service", capabilities: "000001ffffffffff")
        try root.process(12, cgroup: "/machine.slice/b.service", apart: ["net"])
        let found = try processes(policies())
        #expect(found.actors.map(\.process?.isInNetwork) == [false, true])
        // What a process may do in a user namespace of its own it may not do here.
        #expect(found.actors[0].process?.capabilities == 0)
        #expect(found.actors[1].process?.capabilities == 0x1ff_ffff_ffff)
        #expect(found.elsewhere == 1)
    }

    @Test func aProcessThatCannotBeReadIsMissed() throws {
        try root.process(10, cgroup: "/training.slice/a.service")
        try root.file("/proc/11/status", "Name:\tx\nPid:\t11\nPPid:\t1\nUid:\t1 1 1 1\nGid:\t1 1 1 1\nCapPrm:\t0\n")
        #expect(try !processes(policies()).areAll)
    }

    @Test func noProcessesAtAllIsUnknown() throws {
        #expect(root.survey.processes(try policies(), groups: { _ in [] }).value == nil)
    }

    @Test func theCgroupTree() throws {
        #expect(root.survey.cgroups(opensById: nil).value == nil)
        try root.file(
            "/proc/self/mountinfo",
            """
            30 20 0:25 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
            31 20 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory

            """,
        )
        let tree = CgroupFacts(mountPoint: "/sys/fs/cgroup/unified", isHybrid: true, opensById: .known(true))
        #expect(root.survey.cgroups(opensById: true) == .known(tree))
    }

    @Test func doorsHaveTheirPermissionsAndThoseOfTheirFolders() throws {
        try root.file("/run/docker.sock", mode: 0o660)
        try root.folder("/run", mode: 0o711)
        try root.file("/dev/infiniband/uverbs0", mode: 0o666)
        try root.file("/dev/infiniband/issm0", mode: 0o666)
        try root.file("/dev/vfio/vfio", mode: 0o666)
        try root.file("/dev/cxi0", mode: 0o666)
        try root.file("/dev/vfio/12", mode: 0o600)
        try root.folder("/dev/sdx-folder")
        let doors = root.survey.doors(for: nil)
        #expect(doors.keys.sorted() == [0])
        #expect(doors[0]?.map(\.path) == ["/run/docker.sock", "/dev/infiniband/uverbs0", "/dev/vfio/12", "/dev/cxi0"])
        #expect(doors[0]?.first?.kind == .containers)
        #expect((doors[0]?.first?.file.mode ?? 0) & 0o777 == 0o660)
        #expect(doors[0]?.first?.folders.map { $0.mode & 0o777 } == [0o711])
        #expect(doors[0]?[1].folders.count == 2)
    }

    @Test func doorsInAViewOfItsOwn() throws {
        try root.process(10, cgroup: "/training.slice/a.service", apart: ["mnt"])
        try root.file("/run/nscd/socket", mode: 0o666)
        try root.file("/proc/10/root/run/nscd/socket", mode: 0)
        let found = try processes(policies())
        let view = try #require(found.actors[0].process?.mounts)
        let doors = root.survey.doors(for: found)
        #expect((doors[0]?.first?.file.mode ?? 0) & 0o777 == 0o666)
        #expect((doors[view]?.first?.file.mode ?? 1) & 0o777 == 0)
        #expect(doors[view]?.first?.path == "/run/nscd/socket")
    }

    @Test func privilegedGroupsByTheirNumber() {
        let database: [String: UInt32] = ["root": 0, "docker": 998, "adm": 4, "users": 100, "on-call": 700]
        func groups(_ approver: String?) -> [UInt32: PrivilegedGroup] {
            HostSurvey.privilegedGroups(approver: approver) { database[$0] }
        }
        #expect(groups(nil).mapValues(\.name) == [0: "root", 998: "docker", 4: "adm"])
        #expect(groups("on-call")[700] == PrivilegedGroup("on-call", .approves))
        #expect(groups(nil)[4]?.reach == .readsSecrets)
    }

    @Test func doorsOfUsersOwnManagers() throws {
        try root.file("/run/user/1001/bus", mode: 0o666)
        try root.file("/run/user/1001/systemd/private", mode: 0o777)
        try root.file("/run/user/1002/podman/podman.sock")
        let doors = root.survey.doors(for: nil)[0] ?? []
        #expect(
            doors.map(\.path) == [
                "/run/user/1001/bus", "/run/user/1001/systemd/private", "/run/user/1002/podman/podman.sock",
            ]
        )
        #expect(doors.allSatisfy { $0.kind == .userManager } && doors.first?.folders.count == 3)
    }

    /// What the report looks at, the drop-in of the examples closes.
    @Test func theExampleClosesEveryDoor() throws {
        let path = Files.package + "/systemd/examples/units/egressd-workload.conf"
        let text = String(decoding: try #require(Files.read(path)), as: UTF8.self)
        let closed = text.split(separator: "\n").flatMap { line -> [String] in
            let parts = line.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, ["InaccessiblePaths", "TemporaryFileSystem"].contains(parts[0]) else { return [] }
            return parts[1].split(separator: " ").map { path in
                String(path.drop { $0 == "-" }.prefix { $0 != ":" })
            }
        }
        let open = (HostSurvey.doorPaths + ["/run/user/1001/bus"]).filter { path in
            !closed.contains { path == $0 || path.hasPrefix($0 + "/") }
        }
        #expect(open == [])
    }

    /// What systemd would make of the files.
    private func units() throws -> (daemon: UnitFacts, boot: UnitFacts) {
        guard case .found(let daemon, let boot) = root.survey.units() else { throw Errno.notFound }
        return (daemon, boot)
    }

    @Test func unitsThatStartByThemselves() throws {
        #expect(root.survey.units() == .absent)
        try root.folder("/run/systemd/system")
        #expect(root.survey.units() == .found(daemon: UnitFacts(), boot: UnitFacts()))
        try root.file("/usr/lib/systemd/system/egressd.service", "[Service]\nWatchdogSec=10\n")
        try root.folder("/etc/systemd/system/sysinit.target.wants")
        try root.link("/etc/systemd/system/sysinit.target.wants/egressd.service", to: "/nowhere")
        try root.link("/etc/systemd/system/sysinit.target.wants/egressd-boot.service", to: "/nowhere")
        #expect(try units().daemon == UnitFacts(exists: true, isEnabled: true, hasWatchdog: true))
        #expect(try !units().boot.exists, "a link to nowhere starts nothing")
        try root.file("/usr/local/lib/systemd/system/egressd-boot.service", "[Service]\nType=oneshot\n")
        #expect(try units().boot == UnitFacts(exists: true, isEnabled: true))
    }

    @Test func theLastAssignmentOfTheFirstUnitCounts() throws {
        try root.folder("/run/systemd/system")
        try root.file("/usr/lib/systemd/system/egressd.service", "[Service]\nWatchdogSec=10\n")
        try root.file("/etc/systemd/system/egressd.service", "[Service]\nWatchdogSec=0\n")
        #expect(try !units().daemon.hasWatchdog, "the packaged unit is not used")
        try root.file("/usr/lib/systemd/system/egressd.service.d/10-on.conf", "[Service]\nWatchdogSec = 5s\n")
        #expect(try units().daemon.hasWatchdog)
        try root.file("/run/systemd/system/service.d/20-off.conf", "[Service]\nWatchdogSec=infinity\n")
        #expect(try !units().daemon.hasWatchdog)
        try root.file("/etc/systemd/system/egressd.service.d/20-off.conf", "[Service]\n")
        #expect(try units().daemon.hasWatchdog, "of two with one name the unit's own counts")
    }

    @Test func aMaskedUnit() throws {
        try root.folder("/run/systemd/system")
        try root.file("/usr/lib/systemd/system/egressd.service", "[Service]\nWatchdogSec=10\n")
        try root.folder("/etc/systemd/system")
        try root.link("/etc/systemd/system/egressd.service", to: "/dev/null")
        #expect(try units().daemon.isMasked)
    }

    @Test func settingsAndTables() throws {
        #expect(root.survey.settings().value == nil)
        #expect(root.survey.packetSockets().value == nil)
        try root.file("/proc/sys/net/ipv4/ip_forward", "1\n")
        try root.file("/proc/sys/net/ipv4/conf/eth0/forwarding", "1\n")
        #expect(
            root.survey.settings() == .known(["net/ipv4/ip_forward": "1", "net/ipv4/conf/eth0/forwarding": "1"])
        )
        try root.file(
            "/proc/thread-self/net/packet",
            """
            sk       RefCnt Type Proto  Iface R Rmem   User   Inode
            00000000 3      3    0003   2     1 0      1001   4242

            """,
        )
        #expect(root.survey.packetSockets() == .known([1001]))
        try root.file("/proc/thread-self/net/protocols", "protocol  size sockets\nTCP 2496 3\nAF_VSOCK 1200 0\n")
        #expect(root.survey.protocols() == .known(["TCP", "AF_VSOCK"]))
        #expect(root.survey.rdma() == [])
        try root.folder("/sys/class/infiniband/mlx5_0")
        #expect(root.survey.rdma() == ["mlx5_0"])
    }
}
