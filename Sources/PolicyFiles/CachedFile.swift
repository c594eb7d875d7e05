import Policy

/// A policy file as it was read.
final class CachedFile {
    let stamp: FileStamp
    /// A stamp that a change may not show in: the file is read again next time.
    let isFresh: Bool
    let parsed: PolicyReader.Parsed
    /// The name of its user, unless that is a number.
    let userName: String?
    /// Whether the loader's last set holds it.
    var isCurrent = false
    /// The load that saw it last.
    var round: Int
    /// Where it stands among the policies of the listing.
    var place = 0
    /// Whether its name in the folder is the only way to it.
    var isPlain = false

    init(stamp: FileStamp, isFresh: Bool, parsed: PolicyReader.Parsed, round: Int) {
        self.stamp = stamp
        self.isFresh = isFresh
        self.parsed = parsed
        self.round = round
        self.userName = parsed.workload.userName.flatMap { UInt32($0) == nil ? $0 : nil }
    }

    /// Whether a change to it raises an event in its folder, and the stamp was taken late enough to be believed.
    var canBeVouchedFor: Bool { isPlain && !isFresh }
}
