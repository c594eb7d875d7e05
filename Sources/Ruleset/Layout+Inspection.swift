internal import Model

extension Match {
    /// The connection may begin, and its first flight is awaited; of any generation.
    static let isInspecting = Match.mark(mask: 0xff, equals: UInt32(Stamp.State.inspecting.rawValue))
}

/// Connections whose first flight must prove what they are: TCP only, what is sent over UDP is asked about from its first
/// datagram on.
extension Layout {
    /// A connection that was refused: its socket is gone, or will be, and nothing of it is asked about again.
    ///
    /// A SYN begins anew.
    var refused: RuleLine {
        RuleLine(
            .mark(mask: 0xff, equals: UInt32(Stamp.State.denied.rawValue)),
            .tcpFlagsNot(mask: Self.syn, Self.syn),
            then: .goto("refuse"),
        )
    }

    /// A SYN with data (TCP Fast Open, RFC 7413) goes no further, and TCP sends it again at once without: the first flight
    /// comes when the connection has begun.
    ///
    /// Only here, before a queue, TCP learns of it. A SYN behind IP options or extension headers is for the broker to judge.
    var withoutEarlyData: [RuleLine] {
        // The usual ones first: with timestamps, with a cookie.
        withoutPayload(words: [10, 13, 11, 12, 14, 15, 9, 8, 7, 6, 5]) { RuleLine($0, then: [.goto("ask_bare")]) }
            + Field.Family.allCases.map { RuleLine(.nfproto($0), .plainHeader($0), then: .drop) }
    }

    var inspecting: [ChainDefinition] {
        let inspectors = (0..<Self.askers).map { index in
            ChainDefinition("inspect_\(index)", [RuleLine(then: .queue(queue(.flight) + UInt16(index)))])
        }
        // What has other options is asked about, and what ends the connection.
        let handshake = withoutPayload(words: [8, 5]) { bare in
            RuleLine([.tcpFlags(mask: Self.fin | Self.rst, equals: 0)] + bare, then: [.accept])
        }
        let bare = withoutPayload(words: [8, 5, 10]) { RuleLine($0, then: [.accept]) }
        return inspectors + [
            ChainDefinition(
                "inspecting",
                handshake + [RuleLine(then: .verdictMap([.mark(mask: Self.askerMask)], map: "inspectors"))],
            ),
            // A server that speaks first.
            ChainDefinition("greeting", bare + [RuleLine(then: .queue(queue(.greeting)))]),
        ]
    }
}
