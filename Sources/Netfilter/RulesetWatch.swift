internal import CNetfilter
package import Wire

/// Hears at once what others do to the ruleset of this network namespace (NFNLGRP_NFTABLES).
///
/// The kernel makes notifications of our own changes too while anybody listens, and drops them before this socket: 2 µs for
/// each element. So it is for kernels on which others can change our table; elsewhere the generation is enough
/// (``RulesetReader``).
package final class RulesetWatch {
    /// A change, and the socket it was made through.
    package struct Heard: Sendable {
        package let port: UInt32
        package let message: RulesetMessage
    }

    /// For the event loop: readable when something changed.
    package let descriptor: Int32
    /// Whether somebody may have changed something that was not heard; for the owner to take back.
    package var hasMissed = false {
        didSet { if hasMissed, !oldValue { whenMissed() } }
    }
    /// Called when that happens.
    package var whenMissed: () -> Void = {}
    /// The generation that our last large transaction began: what was changed before has a lower one.
    private var own: UInt32 = 0
    /// As many as the receive buffer holds.
    private static let datagrams = 8192
    /// How often the kernel may tell of a loss in a row.
    private static let losses = 16
    private let reader: RulesetReader
    private var buffer = [UInt8](repeating: 0, count: 65536)

    /// Begins to listen to everybody but the socket of this port.
    package init(ignoring port: UInt32) throws(NetfilterError) {
        reader = try RulesetReader()
        descriptor = try check(enf_open(12, 16 << 20), "opening a socket for changes of the ruleset")
        var result = enf_ignore_port(descriptor, port)
        if result == 0 { result = enf_ruleset_watch(descriptor, true) }
        // What throws from here on is closed by `deinit`.
        try check(result, "listening to changes of the ruleset")
    }

    deinit { enf_close(descriptor) }

    /// What was changed since; of the same change many times in a row one.
    ///
    /// At most as much as the socket holds: the rest is there the next time.
    package func read() -> [Heard] {
        var heard: [Heard] = []
        var losses = 0
        for _ in 0..<Self.datagrams {
            let capacity = buffer.count
            let count = unsafe buffer.withUnsafeMutableBufferPointer { bytes in
                guard let start = bytes.baseAddress else { return 0 }
                return unsafe enf_receive(descriptor, start, capacity, false)
            }
            if count == -Int(NetfilterError.again) { break }
            guard count > 0 else {
                // ENOBUFS: some were dropped, and those before them wait still.
                hasMissed = true
                losses += 1
                if losses == Self.losses { break }
                continue
            }
            let span = unsafe buffer.span.bytes.extracting(0..<count)
            var messages = NetlinkMessages()
            while let message = try? messages.next(in: span) {
                guard let read = try? RulesetMessage(type: message.type, span.extracting(message.payload)) else {
                    continue
                }
                if let last = heard.last, last.port == message.portID, last.message == read { continue }
                heard.append(Heard(port: message.portID, message: read))
            }
        }
        return heard
    }

    /// Of what was heard, that which was changed before our last large transaction and that which came after it.
    package func split(_ heard: [Heard]) -> (before: [Heard], after: [Heard]) {
        // The generation's message is the last of its transaction; numbers wrap.
        let last = heard.lastIndex { end in
            end.message.subject == .generation && Int32(bitPattern: end.message.generation &- own) <= 0
        }
        let middle = last.map { $0 + 1 } ?? 0
        return (Array(heard[..<middle]), Array(heard[middle...]))
    }

    /// Listens, if the kernel could not be asked for that before.
    package func listen() throws(NetfilterError) {
        try check(enf_ruleset_watch(descriptor, true), "listening to changes of the ruleset")
    }

    /// Does not listen during one large transaction, unless it is to listen through; what another one changed meanwhile shows
    /// in the generation's number.
    func follow(listeningThrough isListening: Bool, _ transaction: () throws(NetfilterError) -> Void)
        throws(NetfilterError)
    {
        let before = try? reader.generation()
        if !isListening { _ = enf_ruleset_watch(descriptor, false) }
        defer {
            let isBack = isListening || enf_ruleset_watch(descriptor, true) == 0
            let after = try? reader.generation()
            // At most the one of the transaction itself.
            if isBack, let before, let after, after &- before <= 1 {
                own = after
            } else if isListening {
                // Which of those that were heard came first is not known.
                own = before ?? own
            } else {
                hasMissed = true
            }
        }
        try transaction()
    }
}
