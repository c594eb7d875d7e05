import Coverage
import Policy
import Testing

@Suite struct DoorTests {
    private static let path = "/run/docker.sock"

    private static func host(_ door: Door, _ actor: Actor?) throws -> HostFacts {
        var facts = try Hosts.closed()
        facts.doors = [0: [door]]
        facts.processes = .known(Processes(actors: actor.map { [$0] } ?? []))
        return facts
    }

    @Test func aSocketOpensToItsGroup() throws {
        let door = Hosts.socket(Self.path, .containers, mode: 0o660)
        #expect(try Self.host(door, Hosts.actor()).state("doors.containers") == .enforced)
        let member = try Self.host(door, Hosts.actor(groups: [Hosts.trainer, Hosts.docker]))
        let check = try #require(member.check("doors.containers"))
        #expect(check.state == .open)
        #expect(check.detail == "open: /run/docker.sock by job: python3 (pid 4711)")
    }

    /// The class that one falls into decides, not the most generous one: owner before group before others.
    @Test func theFirstClassDecides() throws {
        let door = Hosts.socket(Self.path, .containers, mode: 0o606)
        let member = Hosts.actor(groups: [Hosts.docker])
        #expect(try Self.host(door, member).state("doors.containers") == .enforced)
        #expect(try Self.host(door, Hosts.actor()).state("doors.containers") == .open)
    }

    @Test func aClosedFolderClosesWhatIsInIt() throws {
        let folders = [Permissions(owner: 0, group: 0, mode: 0o755), Permissions(owner: 0, group: 0, mode: 0o700)]
        let file = Permissions(owner: 0, group: 0, mode: 0o666)
        let door = Door(kind: .containers, path: Self.path, file: file, folders: folders)
        #expect(try Self.host(door, Hosts.actor()).state("doors.containers") == .enforced)
        let above = Hosts.actor(uid: 0, capabilities: 1 << 1)
        #expect(try Self.host(door, above).state("doors.containers") == .open)
    }

    @Test func whatAUnitMadeInaccessibleIsClosedToRootToo() throws {
        let door = Hosts.socket(Self.path, .containers, mode: 0)
        #expect(try Self.host(door, Hosts.actor(uid: 0, capabilities: .max)).state("doors.containers") == .enforced)
    }

    @Test func aProcessIsJudgedByItsOwnViewOfTheFiles() throws {
        let door = Hosts.socket("/run/dbus/system_bus_socket", .bus, mode: 0o666)
        var facts = try Self.host(door, Hosts.actor(mounts: 77))
        #expect(facts.state("doors.bus") == .open)
        facts.doors[77] = []
        #expect(facts.state("doors.bus") == .enforced)
    }

    @Test func withoutWorkloadsAnybodyIsJudged() throws {
        let closed = try Self.host(Hosts.socket(Self.path, .containers, mode: 0o660), nil)
        #expect(closed.state("doors.containers") == .enforced)
        let open = try Self.host(Hosts.socket(Self.path, .containers, mode: 0o666), nil)
        #expect(open.check("doors.containers")?.detail == "open: /run/docker.sock by any user")
    }

    @Test func whatCannotBeLookedAtIsNotClosed() throws {
        let door = Hosts.socket(Self.path, .containers, mode: 0o660)
        var facts = try Self.host(door, Hosts.actor())
        facts.processes = .known(Processes(actors: [Hosts.actor()], areAll: false))
        #expect(facts.state("doors.containers") == .unknown)
        facts.processes = .unknown("/proc shows no process")
        #expect(facts.state("doors.containers") == .unknown)
    }

    @Test func privilegedGroups() throws {
        var facts = try Hosts.closed()
        facts.privilegedGroups = [Hosts.docker: PrivilegedGroup("docker", .becomesRoot)]
        #expect(facts.state("doors.groups") == .enforced)
        facts.processes = .known(Processes(actors: [Hosts.actor(groups: [Hosts.docker])]))
        #expect(facts.check("doors.groups")?.detail == "job: python3 (pid 4711) in docker")
        #expect(facts.state("doors.groups") == .open)
        facts.processes = .known(Processes(actors: [Hosts.actor(uid: 0)]))
        #expect(facts.check("doors.groups")?.detail == "job: python3 (pid 4711) is root")
        let nobody = Actor(workload: "job", process: nil, uid: nil, groups: [])
        facts.processes = .known(Processes(actors: [nobody]))
        #expect(facts.state("doors.groups") == .absent)
    }

    @Test(arguments: [
        ("adm", PrivilegedGroup.Reach.readsSecrets, Check.State.partly), ("kvm", .runsMachines, .partly),
        ("approvers", .approves, .open), ("netdev", .changesNetwork, .open),
    ])
    func whatAGroupLeadsTo(_ name: String, _ reach: PrivilegedGroup.Reach, _ state: Check.State) throws {
        var facts = try Hosts.closed()
        facts.privilegedGroups = [4: PrivilegedGroup(name, reach)]
        facts.processes = .known(Processes(actors: [Hosts.actor(groups: [4])]))
        #expect(facts.state("doors.groups") == state)
        #expect(facts.check("doors.groups")?.consequence?.contains("root takes") == false)
    }

    @Test func aUsersOwnManagerIsADoor() throws {
        let folder = Permissions(owner: Hosts.trainer, group: Hosts.trainer, mode: 0o700)
        let file = Permissions(owner: Hosts.trainer, group: Hosts.trainer, mode: 0o666)
        let door = Door(kind: .userManager, path: "/run/user/1001/bus", file: file, folders: [folder])
        var facts = try Self.host(door, Hosts.actor())
        #expect(facts.state("doors.user-manager") == .partly, "what it starts belongs to no workload, and is denied")
        facts.daemon = .unreachable("nobody listens there")
        facts.configuration = .known(.init(observesOnly: false, unidentified: "observe"))
        #expect(facts.state("doors.user-manager") == .open)
        #expect(try Self.host(door, Hosts.actor(uid: 1002)).state("doors.user-manager") == .enforced)
        // A policy that names no user may be for that one.
        #expect(try Self.host(door, nil).state("doors.user-manager") == .partly)
    }
}
