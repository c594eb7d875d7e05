internal import Model
internal import Record

/// What the daemon knows of the resources it needs: what it looked at last, and what it has told already.
struct Resources {
    /// Where the kernel may have more to tell than is read in time.
    enum Source {
        case queues
        case log

        /// What a loss means.
        var consequence: String {
            switch self {
            case .queues: "packets were refused without being looked at"
            case .log: "what the kernel let through or refused by itself meanwhile is not in the record"
            }
        }
    }

    /// Losses that no event tells of yet.
    struct Loss {
        var count: UInt64 = 0
        var text = ""
    }

    /// When everything was looked at last.
    var looked: Instant?
    var losses: [Source: Loss] = [:]
    /// How many packets the kernel's queues had dropped at the last look.
    var queueDrops: UInt64 = 0
    /// How many packets had found no room in the connection table; nil before the first look.
    var connectionDrops: UInt64?
    /// What both clocks said at the last look.
    var moment: Moment?
    /// When the last look at all cgroups began, and how many of them were not gone.
    var swept = Instant(nanoseconds: 0)
    var keptCgroups = 0
    /// Why the record could not be written at the last look, and since when.
    var recordProblem: (text: String, since: WallTime)?
    /// When it was last logged that what is about to be refused cannot be written down.
    var aheadSaid: Instant?
    /// How many records were set aside whose place was taken up.
    var replacements: UInt64 = 0
}
