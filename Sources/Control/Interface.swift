/// The texts of the interfaces, as introspection gives them (https://varlink.org/Interface-Definition).
package enum ControlInterface {
    /// The name of the daemon's interface.
    package static let name = "io.egressd"

    /// The methods that the description declares.
    package static var methods: [String] {
        description.split(separator: "\n").compactMap { line in
            guard line.hasPrefix("method ") else { return nil }
            return String(line.dropFirst("method ".count).prefix { $0 != "(" })
        }
    }

    /// The daemon's interface.
    package static let description = """
        # Which workload may reach what, who asked for more, and what an operator answered.
        #
        # Status, Workloads, Requests, Grants, Names and Log want the role viewer or approver, the others approver; root
        # has both. A caller whose cgroup belongs to a workload is refused, whatever its uid. Times are RFC 3339 in UTC.
        interface io.egressd

        # One policy file as it is in force.
        type Workload (
          name: string,
          owner: ?string,
          description: ?string,
          file: string,
          # Raised when the policy became narrower.
          generation: int,
          # deny, hold or observe
          unknown: string,
          # The cgroups that were seen of it.
          cgroups: []string
        )

        # What was denied, held or observed, grouped by workload and by address or name.
        type Request (
          request: int,
          # Missing when nobody's workload asked.
          workload: ?string,
          # request, or inbound when somebody outside asked
          kind: string,
          # address, port, transport; or name; or others: true for all that is beyond what has lines of its own
          destination: object,
          # The names that any workload was given the address for.
          knownAs: ?[]string,
          # deny, hold or observe
          verdict: string,
          reason: string,
          finding: ?string,
          count: int,
          first: string,
          last: string,
          # Whether a packet of it waits for an answer now.
          held: bool,
          # Of the process that asked last.
          executable: ?string,
          command: ?[]string
        )

        # An operator's approval.
        type Grant (
          grant: int,
          workload: string,
          # address, port, transport; or name, and ports and protocol as Approve takes them
          destination: object,
          created: string,
          expires: string,
          remainingSeconds: int,
          actor: string,
          reason: ?string,
          request: ?int
        )

        # An address that a workload was given for a name, and may reach by it.
        type Name (
          workload: string,
          name: string,
          address: string,
          # Seconds since an answer held the address last, and when that was.
          age: int,
          learned: string,
          expires: string,
          remainingSeconds: int
        )

        # How the daemon is.
        method Status() -> (
          version: string,
          # enforce or observe
          mode: string,
          # allow, observe or deny
          unidentified: string,
          started: string,
          loaded: string,
          # Whether the table stands: intact, or why not; and how often another tool's changes were undone.
          ruleset: string,
          workloads: int,
          grants: int,
          requests: int,
          counters: [string]int,
          # What an operator should look at.
          warnings: []string
        )

        # The policies in force, by name.
        method Workloads() -> (workloads: []Workload)

        # What was denied or held, the latest first.
        method Requests() -> (requests: []Request)

        # Lets a request pass for a time: its workload may reach its destination. ports is for a request by name, each
        # a single one (443, 8443/udp), at most 16, and 443 when missing. So is protocol, what must be spoken there: tls, http,
        # ssh, quic, any; when missing tls, and quic over UDP. replaces has the grants of the same whose place it takes.
        method Approve(
          request: int, seconds: int, reason: ?string, ports: ?[]string, protocol: ?string
        ) -> (grant: Grant, replaces: ?[]int)

        # The grants in force, the next to expire first.
        method Grants() -> (grants: []Grant)

        # Ends a grant and what it let through.
        method Revoke(grant: int, reason: ?string) -> ()

        # The names that workloads were given addresses for. With "more" there may be several replies. A warning says that no
        # such workload is in force.
        method Names(workload: ?string) -> (names: []Name, warning: ?string)

        # The record: events of kinds and members as `egressd ctl log --json` prints them.
        #
        # With "more" there are several replies, and with follow they go on until the client leaves. since is how many
        # seconds back to begin; without it, limit gives the last events (100 unless told otherwise). name is what was asked
        # for, or what the address is known as. A warning says why the newest events are not among them, or that no such workload
        # is in force.
        method Log(
          follow: ?bool,
          since: ?int,
          workload: ?string,
          verdict: ?string,
          limit: ?int,
          name: ?string
        ) -> (events: []object, warning: ?string)

        # Reads configuration and policies again; all of them are taken, or none. The warnings say what of the configuration
        # is not in force, or will not do.
        method Reload() -> (workloads: int, warnings: ?[]string)

        # The caller's role does not allow it, or its cgroup belongs to a workload.
        error PermissionDenied (reason: string)

        # There is no such request or grant.
        error NotFound (what: string)

        # What is asked for makes no sense.
        error InvalidRequest (reason: string)

        # The policies on disk are wrong; what was in force stays in force.
        error ReloadFailed (errors: []string)

        """

    /// The interface that every Varlink service has.
    package static let service = """
        # The Varlink Service Interface is provided by every varlink service. It
        # describes the service and the interfaces it implements.
        interface org.varlink.service

        # Get a list of all the interfaces a service provides and information
        # about the implementation.
        method GetInfo() -> (
          vendor: string,
          product: string,
          version: string,
          url: string,
          interfaces: []string
        )

        # Get the description of an interface that is implemented by this service.
        method GetInterfaceDescription(interface: string) -> (description: string)

        # The requested interface was not found.
        error InterfaceNotFound (interface: string)

        # The requested method was not found
        error MethodNotFound (method: string)

        # The interface defines the requested method, but the service does not
        # implement it.
        error MethodNotImplemented (method: string)

        # One of the passed parameters is invalid.
        error InvalidParameter (parameter: string)

        """
}
