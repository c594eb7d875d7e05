package import Model

extension Resolver {
    /// The bounds of everything that grows with what others ask and answer.
    package struct Settings: Hashable, Sendable {
        /// Answers in the cache.
        package var cacheLimit = 65_536
        /// Bytes that the cached answers take, as far as they can be estimated.
        package var cacheBytes = 32 << 20
        /// An answer of more records is given but not cached.
        package var answerRecords = 64
        /// An answer of more bytes on the wire is given but not cached.
        package var answerBytes = 8192
        /// A longer message over TCP counts as a refusal.
        package var messageLimit = 16_384
        /// The silence after which the next upstream is asked; the first may still answer.
        package var attemptTimeout = Instant.Span.milliseconds(500)
        /// From the opening of a TCP connection to the whole answer.
        package var streamTimeout = Instant.Span.milliseconds(1500)
        /// From the question to SERVFAIL at the latest.
        package var deadline = Instant.Span.milliseconds(4500)
        /// Questions of one group that upstreams are asked at once.
        package var groupLimit = 64
        /// Questions of one group that wait behind those; what is beyond gets SERVFAIL at once.
        package var groupQueueLimit = 1024
        /// Open exchanges, which is to say sockets.
        package var globalLimit = 512
        /// Seconds; a longer TTL is cut to it.
        package var maxTTL: UInt32 = 86_400
        /// Seconds that the absence of a name or type is believed at most.
        package var maxNegativeTTL: UInt32 = 900
        /// The size of datagram that upstreams are told of (RFC 6891 §6.2.3), in bytes.
        package var payloadSize: UInt16 = 1232
        /// Answers that are right but for the letters' case before TCP is used instead.
        package var caseLimit = 1
        /// Upstreams that are used; those beyond are not.
        package var upstreamLimit = 8

        package init() {}
    }

    /// What was counted since the start.
    package struct Counters: Hashable, Sendable {
        /// Questions answered from the cache.
        package var hits: UInt64 = 0
        /// Questions that the cache had no answer for.
        package var misses: UInt64 = 0
        /// Datagrams sent to upstreams.
        package var datagrams: UInt64 = 0
        /// TCP connections opened to upstreams.
        package var streams: UInt64 = 0
        /// Messages that were dropped: another sender, id, question, class or type than was asked.
        package var mismatches: UInt64 = 0
        /// Messages that were dropped because only the letters' case differed.
        package var wrongCase: UInt64 = 0
        /// Messages for an exchange that had ended.
        package var late: UInt64 = 0
        /// Exchanges that stayed without answer for too long.
        package var timeouts: UInt64 = 0
        /// Exchanges that ended with an error of the socket.
        package var socketErrors: UInt64 = 0
        /// Answers that were of no use: SERVFAIL, REFUSED, unreadable, too long, a chain without end.
        package var refusals: UInt64 = 0
        /// Questions that got SERVFAIL because too many of the group waited.
        package var overloads: UInt64 = 0
        /// Questions that got SERVFAIL because no upstream had an answer in time.
        package var failures: UInt64 = 0

        package init() {}
    }
}
