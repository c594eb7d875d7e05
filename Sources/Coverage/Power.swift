/// A capability that reaches around the rules.
struct Power: Hashable {
    /// What whoever has it can do, in the order in which the report says it.
    enum Effect: CaseIterable {
        case removesRules, sendsPast, entersOthers, becomesRoot, readsSecrets

        /// What follows, without a full stop.
        var consequence: String {
            switch self {
            case .removesRules: "they take the rules away"
            case .sendsPast: "they send frames that no rule sees"
            case .entersOthers: "they enter processes of others, and send in their name"
            case .becomesRoot: "they make themselves root, who takes the rules away"
            case .readsSecrets: "they read files or memory of others, keys and tokens too"
            }
        }
    }

    let bit: UInt64
    let name: String
    let effect: Effect

    /// The bits are those of include/uapi/linux/capability.h.
    static let all: [Power] = [
        Power(bit: 0, name: "CAP_CHOWN", effect: .becomesRoot),
        Power(bit: 1, name: "CAP_DAC_OVERRIDE", effect: .becomesRoot),
        Power(bit: 2, name: "CAP_DAC_READ_SEARCH", effect: .readsSecrets),
        Power(bit: 3, name: "CAP_FOWNER", effect: .becomesRoot),
        Power(bit: 6, name: "CAP_SETGID", effect: .becomesRoot),
        Power(bit: 7, name: "CAP_SETUID", effect: .becomesRoot),
        Power(bit: 12, name: "CAP_NET_ADMIN", effect: .removesRules),
        Power(bit: 13, name: "CAP_NET_RAW", effect: .sendsPast),
        Power(bit: 16, name: "CAP_SYS_MODULE", effect: .becomesRoot),
        Power(bit: 17, name: "CAP_SYS_RAWIO", effect: .becomesRoot),
        Power(bit: 18, name: "CAP_SYS_CHROOT", effect: .becomesRoot),
        Power(bit: 19, name: "CAP_SYS_PTRACE", effect: .entersOthers),
        Power(bit: 21, name: "CAP_SYS_ADMIN", effect: .becomesRoot),
        Power(bit: 22, name: "CAP_SYS_BOOT", effect: .becomesRoot),
        Power(bit: 27, name: "CAP_MKNOD", effect: .becomesRoot),
        Power(bit: 31, name: "CAP_SETFCAP", effect: .becomesRoot),
        Power(bit: 38, name: "CAP_PERFMON", effect: .readsSecrets),
        Power(bit: 39, name: "CAP_BPF", effect: .readsSecrets),
    ]
}
