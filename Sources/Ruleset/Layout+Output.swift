internal import Model

extension Layout {
    /// Says who sends a packet, and whether it may go out.
    ///
    /// One base chain: every one that a packet passes costs it time, and most packets need but the first rule.
    var output: [ChainDefinition] {
        let sender = RuleLine(then: .queue(queue(.sender)))
        let stamp = { cgroup in Action.setMarkFromMap([cgroup, .uid], map: "workloads") }
        let identified = perDepth("sender") { cgroup in
            [
                RuleLine(.mark(mask: .max, equals: 0), then: stamp(cgroup), .goto("decide")),
                RuleLine(
                    .member([cgroup, .uid, .mark(mask: Stamp.generationMask)], set: "senders"),
                    then: .goto("decide_known"),
                ),
                RuleLine(then: stamp(cgroup), .goto("decide")),
                RuleLine(.owned, then: .queue(queue(.sender))),
                // No process holds the socket: the kernel's own, or a closed socket's last packets.
                RuleLine(.member([cgroup], set: "strangers"), then: .goto("kernel")),
                sender,
            ]
        }
        // Error messages, and what conntrack does not track or cannot place, carry no connection mark of their own.
        let unmarked = perDepth("unmarked") { cgroup in
            [
                RuleLine(.member([cgroup], set: "strangers"), then: .accept),
                RuleLine(then: .queue(queue(.unmarked))),
            ]
        }
        let identify = ChainDefinition(
            "identify",
            hook: .output,
            priority: 0,
            dropsByDefault: true,
            [
                RuleLine(
                    .tcpFlagsNot(mask: Self.synAck, Self.syn),
                    .member([.mark(mask: .max)], set: "current"),
                    then: .accept,
                ),
                // TCP keeps its stamp; a SYN is always its own socket's, whatever connection it claims to belong to.
                RuleLine(
                    .tcpFlagsNot(mask: Self.synAck, Self.syn),
                    .markNot(mask: Stamp.identityMask, 0),
                    then: .goto("decide"),
                ),
                RuleLine(.toLoopback, .replyDirection, .member([.mark(mask: .max)], set: "current"), then: .accept),
                RuleLine(.state([.invalid, .related, .untracked]), then: .goto("identify_unmarked")),
            ] + byDepth("sender") + [RuleLine(.owned, then: .queue(queue(.sender))), RuleLine(then: .goto("kernel"))],
        )
        return settling + identified + unmarked + [
            // Of whatever cgroup the socket is, held by a process or closed meanwhile; without a socket it is the kernel's.
            ChainDefinition("identify_unmarked", byDepth("unmarked") + [RuleLine(then: .accept)]),
            identify,
        ]
    }

    /// What becomes of a packet whose sender is known.
    private var settling: [ChainDefinition] {
        [
            ChainDefinition("resets", bareResets),
            ChainDefinition(
                "nobody",
                [
                    RuleLine(.member([.identity], set: "open"), then: .goto("allow")),
                    // A DHCP client of the host (RFC 2131, RFC 8415), from the ports only root may bind.
                    RuleLine(
                        .mark(mask: Stamp.identityMask, equals: Identity.unidentified.mark),
                        .ports(source: 68, destination: 67),
                        then: .goto("allow"),
                    ),
                    RuleLine(
                        .mark(mask: Stamp.identityMask, equals: Identity.unidentified.mark),
                        .ports(source: 546, destination: 547),
                        then: .goto("allow"),
                    ),
                ],
            ),
            ChainDefinition(
                "decide_ported",
                [
                    RuleLine(.nfproto(.v4), then: .jump("judge4")),
                    RuleLine(.nfproto(.v6), then: .jump("judge6")),
                    RuleLine(then: .goto("ask")),
                ],
            ),
            ChainDefinition(
                "decide",
                // What stays on the host is judged at its receiver, where both ends are known.
                [RuleLine(.toLoopback, .member([.transport], set: "ported"), then: .accept)]
                    // The broker lets no request for a name out, and so remembers none here.
                    + lately + [
                        RuleLine(
                            .isInspecting,
                            .tcpFlagsNot(mask: Self.synAck, Self.syn),
                            then: .goto("inspecting")
                        ),
                        RuleLine(
                            .member([.destinationPort], set: "resolving"),
                            .member([.transport], set: "ported"),
                            then: .jump("resolving"),
                        ),
                        RuleLine(.tcpFlags(mask: Self.rst, equals: Self.rst), then: .jump("resets")),
                        refused,
                        // The numbers below the first workload's.
                        RuleLine(.mark(mask: Self.workloadMask, equals: 0), then: .jump("nobody")),
                        RuleLine(.member([.transport], set: "ported"), then: .goto("decide_ported")),
                    ] + others + [RuleLine(then: .goto("ask"))],
            ),
            ChainDefinition(
                "decide_known",
                [
                    // A SYN begins anew, whatever was judged of the connection whose entry it meets.
                    RuleLine(
                        .tcpFlags(mask: Self.synAck, equals: Self.syn),
                        .state([.established]),
                        then: .goto("decide")
                    ),
                    RuleLine(.member([.mark(mask: .max)], set: "current"), then: .accept),
                    RuleLine(then: .goto("decide")),
                ],
            ),
        ]
    }

    /// A reset without payload of a connection that both sides know: the peer learns that it is cut.
    ///
    /// With and without TCP's timestamps (RFC 7323).
    private var bareResets: [RuleLine] {
        withoutPayload(words: [5, 8]) { bare in
            RuleLine(bare + [.tcpFlags(mask: Self.rst, equals: Self.rst), .state([.established])], then: [.accept])
        }
    }

    /// A rule for each shape of a TCP segment without payload, by the words of its header; without IP options.
    func withoutPayload(words: [UInt8], _ rule: ([Match]) -> RuleLine) -> [RuleLine] {
        [(Field.Family.v4, UInt32(20)), (.v6, 40)].flatMap { family, header in
            words.map { words in
                rule([.nfproto(family), .tcpHeader(words: words), .length(header + UInt32(words) * 4)])
            }
        }
    }
}
