/// What the kernel can do, as far as the daemon needs it.
package struct KernelFeatures: Hashable, Sendable {
    /// How a packet is handed to the daemon.
    package enum Question: Hashable, Sendable {
        case queueExpression
        case queueTarget
        case none
    }

    package var question: Known<Question> = .unknown("not tried")
    package var ownedTables: Known<Bool> = .unknown("not tried")
    package var socketCgroup: Known<Bool> = .unknown("not tried")
    package var egressHook: Known<Bool> = .unknown("not tried")
    package var destroysSockets: Known<Bool> = .unknown("not tried")
    /// Whether sock_diag tells a socket's cgroup.
    package var tellsCgroups: Known<Bool> = .unknown("not tried")
    /// Whether a datagram tells its packet's mark (SO_RCVMARK).
    package var tellsMarks: Known<Bool> = .unknown("not tried")

    package init() {}
}
