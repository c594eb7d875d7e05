/// Why a segment of a first flight is not taken; whoever asked denies its connection.
package enum SegmentRefusal: Error, Hashable, Sendable {
    /// More packets than `StreamReassembler.segmentLimit` would be held.
    case tooManySegments
    /// It lies behind all that is kept, and something before it is missing.
    case tooFarAhead
    /// It has urgent data, which the peer may read in another place of the stream (RFC 6093).
    case urgent
    /// Its control bits are such that a peer passes over its payload, or reads it elsewhere.
    case flags
    /// It is a fragment, or the capture ends before the bytes that are kept.
    case incomplete
    /// It is no TCP segment.
    case transport
}

extension SegmentRefusal: CustomStringConvertible {
    /// A sentence without its full stop.
    package var description: String {
        switch self {
        case .tooManySegments: "the first flight has more than \(StreamReassembler.segmentLimit) segments"
        case .tooFarAhead: "a segment far ahead of what is missing"
        case .urgent: "a segment with urgent data"
        case .flags: "a segment whose control bits do not go with a payload"
        case .incomplete: "a segment that is not there as a whole"
        case .transport: "not a TCP segment"
        }
    }
}
