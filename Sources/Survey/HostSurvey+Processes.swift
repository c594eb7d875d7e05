package import Coverage
package import Policy
internal import System

extension HostSurvey {
    /// Whose the processes of the host are, and the users of workloads of which none runs.
    ///
    /// `groups` gives the groups of a user by the user database.
    package func processes(_ policies: PolicySet, groups: (UInt32) -> [UInt32]) -> Known<Processes> {
        let pids = files.numbers(in: "/proc").sorted()
        guard !pids.isEmpty else { return .unknown("/proc shows no process") }
        let root = cgroupRoot()
        let here = link("/proc/thread-self/ns/net")
        let users = link("/proc/thread-self/ns/user")
        let own = try? files.text("/proc/self/stat", limit: 64).split(separator: " ").first.flatMap { Int32($0) }
        var found = Processes(actors: [])
        for pid in pids where pid != own {
            guard let text = try? files.text("/proc/\(pid)/status", limit: 16_384),
                let status = ProcessStatus(text), !status.isKernelThread
            else { continue }
            guard let cgroup = try? files.text("/proc/\(pid)/cgroup", limit: 16_384),
                let path = CgroupTree.path(inProcFile: cgroup, root: root)
            else {
                // A process that ended meanwhile is no process that was left out.
                if (try? files.status(of: "/proc/\(pid)")) != nil { found.areAll = false }
                continue
            }
            let network = link("/proc/\(pid)/ns/net")
            let isInNetwork = network.flatMap { network in here.map { $0 == network } }
            let workload: String
            switch policies.identify(cgroup: path, uid: status.uid) {
            case .workload(let name), .wrongUser(let name): workload = name
            case .unidentified, .ambiguous:
                found.unidentified += 1
                if isInNetwork == false { found.elsewhere += 1 }
                continue
            }
            if network == nil { found.areAll = false }
            // In a user namespace of its own a process has every capability, and none over this network.
            let isApart = link("/proc/\(pid)/ns/user").map { $0 != users } ?? false
            let process = Actor.Process(
                pid: pid,
                name: status.name,
                capabilities: isApart ? 0 : status.capabilities,
                isConfined: status.isConfined,
                isInNetwork: isInNetwork,
                mounts: link("/proc/\(pid)/ns/mnt") ?? 0,
            )
            found.actors.append(Actor(workload: workload, process: process, uid: status.uid, groups: status.groups))
        }
        found.actors += absent(policies, besides: Set(found.actors.map(\.workload)), groups: groups)
        return .known(found)
    }

    /// Those who would act for workloads of which no process runs.
    private func absent(_ policies: PolicySet, besides present: Set<String>, groups: (UInt32) -> [UInt32]) -> [Actor] {
        policies.workloads.filter { !present.contains($0.name) }.map { workload in
            Actor(
                workload: workload.name,
                process: nil,
                uid: workload.user,
                groups: workload.user.map(groups) ?? [],
            )
        }
    }

    /// The cgroup v2 tree; why there is none.
    ///
    /// `opensById`: whether an id led to its cgroup, nil when it could not be tried.
    package func cgroups(opensById: Bool?) -> Known<CgroupFacts> {
        do throws(Errno) {
            let text = try files.text("/proc/self/mountinfo", limit: 1 << 20)
            guard let mount = Mount.ofCgroups(in: text) else {
                return .unknown("cgroup v2 is not mounted; no process can be identified")
            }
            let opens: Known<Bool> = opensById.map { .known($0) } ?? .unknown("not tried: run as root")
            let isHybrid = !Mount.all(in: text, type: "cgroup").isEmpty
            return .known(CgroupFacts(mountPoint: mount.point, isHybrid: isHybrid, opensById: opens))
        } catch {
            return .unknown("/proc/self/mountinfo: \(error)")
        }
    }

    private func cgroupRoot() -> String {
        (try? files.text("/proc/self/mountinfo", limit: 1 << 20)).flatMap(Mount.ofCgroups)?.root ?? "/"
    }

    /// The number of a namespace: the inode behind its link.
    private func link(_ path: String) -> UInt64? { (try? files.status(of: path))?.inode }
}
