package import Model

/// A name server that questions are handed on to.
package struct Upstream: Hashable, Sendable, CustomStringConvertible {
    package let address: IPAddress
    package let port: UInt16

    package init(_ address: IPAddress, port: UInt16 = 53) {
        self.address = address
        self.port = port
    }

    package var description: String { address.isV4 ? "\(address):\(port)" : "[\(address)]:\(port)" }
}

/// How an upstream fares.
struct UpstreamHealth {
    /// Silences and socket errors since its last answer.
    private(set) var failures = 0
    /// When a copy of a question is worth sending to it although others answer.
    private(set) var nextProbe = Instant(nanoseconds: 0)
    /// Until when it is asked without EDNS, which it does not understand.
    private(set) var plainUntil = Instant(nanoseconds: 0)

    private static let downAfter = 2
    private static let plainTime = Instant.Span.seconds(600)

    /// Whether others are to be asked before it.
    var isDown: Bool { failures >= Self.downAfter }

    /// Any answer, a refusal too, shows that it is there.
    mutating func answered() { failures = 0 }

    mutating func failed(at now: Instant) {
        failures = min(failures + 1, 1000)
        if failures == Self.downAfter { nextProbe = now + .seconds(1) }
    }

    /// A copy was sent; the next one waits longer, up to 16 seconds.
    mutating func probed(at now: Instant) {
        nextProbe = now + .seconds(1 << Int64(min(max(failures - Self.downAfter, 0), 4)))
    }

    mutating func knowsNoExtension(at now: Instant) { plainUntil = now + Self.plainTime }
}
