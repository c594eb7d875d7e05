/// What becomes of a request.
package enum Verdict: String, Sendable, CaseIterable {
    /// It passes.
    case allow
    /// It is refused.
    case deny
    /// It waits for an operator.
    case hold
    /// It passes, and is recorded as what would have been denied.
    case observe
}

/// Why a verdict was given: a fixed code that scripts may rely on.
package enum Reason: String, Sendable, CaseIterable {
    /// A rule of the workload's policy allows it.
    case rule
    /// An operator's grant allows it.
    case grant
    /// It would have been denied, and the host or the workload only observes.
    case observeMode = "observe-mode"
    /// No rule of the workload names the destination.
    case unknownDestination = "unknown-destination"
    /// A `deny` rule covers it.
    case deniedByRule = "denied-by-rule"
    /// A cloud metadata or other special-purpose address that no rule names exactly.
    case specialAddress = "special-address"
    /// No rule allows the name.
    case nameNotAllowed = "name-not-allowed"
    /// The first flight names another server.
    case wrongName = "wrong-name"
    /// The protocol spoken, or the transport, is not one that a rule allows.
    case wrongProtocol = "wrong-protocol"
    /// The rule is for another executable, or which one it is could not be told for certain.
    case wrongExecutable = "wrong-executable"
    /// No workload owns it, or a user that the workload's identity does not name.
    case unidentified
    /// No operator approved it in time.
    case holdExpired = "hold-expired"
    /// It was allowed once; its rule or grant is gone.
    case revoked
    /// A limit of the workload is used up.
    case limit
    /// The workload is quarantined.
    case quarantined
    /// It could not be judged in time.
    case overload
    /// Nobody may open connections to this workload from there: no `listen` names it.
    case notListening = "not-listening"
}

/// What a denied request looks like; it never decides the verdict.
package enum Finding: String, Sendable, CaseIterable {
    case reverseSSHTunnel = "reverse-ssh-tunnel"
    case miningStratum = "mining-stratum"
    /// SSH to another port than 22.
    case sshOnWrongPort = "ssh-on-wrong-port"
    case dnsTunnel = "dns-tunnel"
    case internalScan = "internal-scan"
}
