internal import Model

extension Field {
    static let identity = Field.mark(mask: Stamp.identityMask)

    /// What a request is found by: who, where, over what, at which port.
    static func request(_ family: Family) -> [Field] {
        [.identity, .destination(family), .transport, .destinationPort]
    }
    /// The same of a request from outside.
    static func arrival(_ family: Family) -> [Field] { [.identity, .source(family), .transport, .destinationPort] }
}

extension Layout {
    /// TCP's SYN and ACK bits (RFC 9293 §3.1).
    private static let synAck: UInt8 = 0x12
    private static let syn: UInt8 = 0x02
    private static let rst: UInt8 = 0x04

    /// A chain's verdict for what a fixed rule refuses; in observe mode nothing is.
    private var refuses: Action { observesOnly ? .accept : .drop }

    /// The chains, those that others go to first.
    package var chains: [ChainDefinition] {
        settled + families.flatMap { $0 } + asking + output + input + forwarding
    }

    private var families: [[ChainDefinition]] { Field.Family.allCases.map(judging) }

    /// How a request ends.
    private var settled: [ChainDefinition] {
        let stamp = Action.setMarkFromMap([.identity], map: "stamps")
        func state(_ state: Stamp.State) -> Action {
            .setMarkBits(keep: Stamp.generationMask, or: UInt32(state.rawValue))
        }
        return [
            ChainDefinition("allow", [RuleLine(then: stamp, .accept)]),
            ChainDefinition("admit_inbound", [RuleLine(then: stamp), RuleLine(then: state(.inbound), .accept)]),
            ChainDefinition(
                "refuse",
                [
                    RuleLine(then: state(.denied)),
                    RuleLine(.transport(.tcp), then: .rejectReset),
                    RuleLine(then: .rejectProhibited),
                ],
            ),
            // The broker's answer is the stamp itself.
            ChainDefinition(
                "answer",
                [
                    RuleLine(.mark(mask: 0xff, equals: UInt32(Stamp.State.denied.rawValue)), then: .goto("refuse")),
                    RuleLine(then: .accept),
                ],
            ),
            ChainDefinition(
                "kernel",
                [RuleLine(then: .setMark(Stamp(.kernel, generation: 0, .allowed).mark), .accept)]
            ),
        ]
    }

    /// The maps of one family: what lets a request through, and what is known to be refused.
    private func judging(_ family: Field.Family) -> [ChainDefinition] {
        let suffix = Self.suffix(family)
        let request = Field.request(family)
        let only = Match.nfproto(family)
        var chains = [
            // The first connection to a destination goes to the log; repetitions are counted in `seen`.
            ChainDefinition(
                "admit\(suffix)",
                [
                    RuleLine(then: .setMarkFromMap([.identity], map: "stamps")),
                    RuleLine(only, .member(request, set: "seen\(suffix)"), then: .accept),
                    RuleLine(then: .log(group: allowedGroup, prefix: nil), .accept),
                ],
            )
        ]
        for shard in 0..<Self.shards {
            chains.append(
                ChainDefinition(
                    "rules\(suffix)_\(shard)",
                    [RuleLine(only, .member(request, set: "rules\(suffix)_\(shard)"), then: .goto("admit\(suffix)"))],
                ),
            )
            chains.append(
                ChainDefinition(
                    "listen\(suffix)_\(shard)",
                    [
                        RuleLine(
                            only,
                            .member(Field.arrival(family), set: "listen\(suffix)_\(shard)"),
                            then: .log(group: allowedGroup, prefix: "inbound"),
                            .goto("admit_inbound"),
                        )
                    ],
                ),
            )
        }
        chains.append(
            ChainDefinition(
                "judge\(suffix)",
                [
                    // The policy first: what it allows pays for nothing else.
                    RuleLine(only, .member(request, set: "hosts\(suffix)"), then: .goto("admit\(suffix)")),
                    RuleLine(then: .verdictMap([.mark(mask: Self.shardMask)], map: "shards\(suffix)")),
                    RuleLine(only, .member(request, set: "grants\(suffix)"), then: .goto("admit\(suffix)")),
                    RuleLine(
                        only,
                        then: .setMarkFromMap(request + [.sourcePort], map: "answers\(suffix)"),
                        .goto("answer"),
                    ),
                    RuleLine(only, .member(request, set: "denied\(suffix)"), then: .goto("refuse")),
                ],
            ),
        )
        // A socket of another workload: only an answer of the broker lets it in, and what it refused stays refused.
        chains.append(
            ChainDefinition(
                "answered\(suffix)",
                [
                    RuleLine(
                        only,
                        then: .setMarkFromMap(request + [.sourcePort], map: "answers\(suffix)"),
                        .goto("answer"),
                    ),
                    RuleLine(only, .member(request, set: "denied\(suffix)"), then: .goto("refuse")),
                ],
            ),
        )
        let arrival = Field.arrival(family)
        chains.append(
            ChainDefinition(
                "arrive\(suffix)",
                [
                    RuleLine(
                        only,
                        then: .setMarkFromMap(arrival + [.sourcePort], map: "arrivals\(suffix)"),
                        .accept,
                    ),
                    RuleLine(then: .verdictMap([.mark(mask: Self.shardMask)], map: "listens\(suffix)")),
                    RuleLine(only, .member(arrival, set: "knocks\(suffix)"), then: .drop),
                    RuleLine(then: .queue(queue(.inbound))),
                ],
            ),
        )
        return chains
    }

    private func queue(_ question: Question) -> UInt16 { firstQueue + question.rawValue }

    /// The chains that ask the broker.
    private var asking: [ChainDefinition] {
        let reply = ChainDefinition("ask_reply", [RuleLine(then: .queue(queue(.reply)))])
        let askers = (0..<Self.askers).map { index in
            ChainDefinition("ask_\(index)", [RuleLine(then: .queue(queue(.outbound) + UInt16(index)))])
        }
        return askers + [
            reply,
            ChainDefinition(
                "ask",
                [
                    RuleLine(.replyDirection, then: .goto("ask_reply")),
                    RuleLine(then: .verdictMap([.mark(mask: Self.askerMask)], map: "askers")),
                ],
            ),
        ]
    }

    /// For each depth, deepest first: into a chain of that depth when the packet's socket lies there.
    private func byDepth(_ chain: String) -> [RuleLine] {
        Self.depths.reversed().map { RuleLine(.cgroupExists(level: $0), then: .goto("\(chain)_\($0)")) }
            + [RuleLine(.member([.cgroup(level: 0)], set: "roots"), then: .goto("\(chain)_0"))]
    }

    private func perDepth(_ chain: String, _ rules: (Field) -> [RuleLine]) -> [ChainDefinition] {
        (0...Self.depths.upperBound).map { ChainDefinition("\(chain)_\($0)", rules(.cgroup(level: $0))) }
    }

    private var output: [ChainDefinition] {
        let sender = RuleLine(then: .queue(queue(.sender)))
        let identified = perDepth("sender") { cgroup in
            [
                RuleLine(
                    .mark(mask: .max, equals: 0),
                    then: .setMarkFromMap([cgroup, .uid], map: "workloads"),
                    .accept
                ),
                RuleLine(.member([cgroup, .uid, .mark(mask: Stamp.generationMask)], set: "senders"), then: .accept),
                RuleLine(then: .setMarkFromMap([cgroup, .uid], map: "workloads"), .accept),
                sender,
            ]
        }
        // No process holds the socket: the kernel's own, or a closed socket's last packets.
        let orphaned = perDepth("orphan") { cgroup in
            [RuleLine(.member([cgroup], set: "strangers"), then: .goto("kernel")), sender]
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
            priority: -150,
            dropsByDefault: true,
            [
                // TCP keeps its stamp; a SYN is always its own socket's, whatever connection it claims to belong to.
                RuleLine(
                    .tcpFlagsNot(mask: Self.synAck, Self.syn),
                    .markNot(mask: Stamp.identityMask, 0),
                    then: .accept,
                ),
                RuleLine(.toLoopback, .replyDirection, .member([.mark(mask: .max)], set: "current"), then: .accept),
                RuleLine(.state([.invalid, .related, .untracked]), then: .goto("identify_unmarked")),
                RuleLine(.owned, then: .goto("identify_owned")),
                RuleLine(then: .goto("identify_orphan")),
            ],
        )
        let decide = ChainDefinition(
            "decide",
            hook: .output,
            priority: 0,
            dropsByDefault: true,
            [
                RuleLine(.member([.mark(mask: .max)], set: "current"), then: .accept),
                RuleLine(.state([.invalid, .related, .untracked]), then: .accept),
            ] + bareResets + [
                // What stays on the host is judged at its receiver, where both ends are known.
                RuleLine(.toLoopback, .member([.transport], set: "ported"), then: .accept),
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
                RuleLine(.member([.transport], set: "ported"), then: .goto("decide_ported")),
                RuleLine(
                    .nfproto(.v4),
                    then: .setMarkFromMap([.identity, .destination(.v4), .transport], map: "others4"),
                    .goto("answer"),
                ),
                RuleLine(
                    .nfproto(.v6),
                    then: .setMarkFromMap([.identity, .destination(.v6), .transport], map: "others6"),
                    .goto("answer"),
                ),
                RuleLine(then: .goto("ask")),
            ],
        )
        return identified + orphaned + unmarked + [
            ChainDefinition("identify_owned", byDepth("sender") + [sender]),
            ChainDefinition("identify_orphan", byDepth("orphan") + [RuleLine(then: .goto("kernel"))]),
            // Of whatever cgroup the socket is, held by a process or closed meanwhile; without a socket it is the kernel's.
            ChainDefinition("identify_unmarked", byDepth("unmarked") + [RuleLine(then: .accept)]),
            ChainDefinition(
                "decide_ported",
                [
                    RuleLine(.nfproto(.v4), then: .jump("judge4")),
                    RuleLine(.nfproto(.v6), then: .jump("judge6")),
                    RuleLine(then: .goto("ask")),
                ],
            ),
            identify, decide,
        ]
    }

    /// A reset without payload of a connection that both sides know: the peer learns that it is cut.
    ///
    /// With and without TCP's timestamps (RFC 7323).
    private var bareResets: [RuleLine] {
        [(Field.Family.v4, UInt32(20)), (.v6, 40)].flatMap { family, header in
            [UInt8(5), 8].map { words in
                RuleLine(
                    .nfproto(family),
                    .tcpFlags(mask: Self.rst, equals: Self.rst),
                    .tcpHeader(words: words),
                    .length(header + UInt32(words) * 4),
                    .state([.established]),
                    then: .accept,
                )
            }
        }
    }

    private var input: [ChainDefinition] {
        let receiver = RuleLine(then: .queue(queue(.receiver)))
        let arriving = perDepth("receiver") { cgroup in
            [RuleLine(then: .setMarkFromMap([cgroup], map: "owners"), .goto("arrive")), receiver]
        }
        let local = perDepth("local") { cgroup in
            [
                RuleLine(.member([cgroup, .identity], set: "residents"), then: .goto("allow")),
                RuleLine(.member([cgroup], set: "strangers"), then: .goto("local_stranger")),
                RuleLine(.nfproto(.v4), then: .jump("answered4")),
                RuleLine(.nfproto(.v6), then: .jump("answered6")),
                RuleLine(then: .queue(queue(.loopback))),
            ]
        }
        return arriving + local + [
            ChainDefinition(
                "arrive",
                [
                    RuleLine(.member([.mark(mask: .max)], set: "current"), then: .accept),
                    RuleLine(.nfproto(.v4), then: .goto("arrive4")),
                    RuleLine(.nfproto(.v6), then: .goto("arrive6")),
                ],
            ),
            ChainDefinition(
                "local_stranger",
                [
                    RuleLine(.member([.identity], set: "free"), then: .goto("allow")),
                    RuleLine(.nfproto(.v4), then: .jump("judge4")),
                    RuleLine(.nfproto(.v6), then: .jump("judge6")),
                    RuleLine(then: .queue(queue(.loopback))),
                ],
            ),
            ChainDefinition(
                "loopback",
                [
                    RuleLine(.member([.mark(mask: .max)], set: "current"), then: .accept),
                    // Whatever a process sends over loopback was stamped on its way out; a frame put there by a packet
                    // socket was not.
                    RuleLine(
                        .mark(mask: Stamp.identityMask, equals: 0),
                        then: .log(group: refusedGroup, prefix: "injected"),
                        refuses,
                    ),
                ] + byDepth("local") + [RuleLine(then: .accept)],
            ),
            ChainDefinition(
                "inbound",
                hook: .input,
                priority: 0,
                dropsByDefault: true,
                [
                    RuleLine(.replyDirection, then: .accept),
                    RuleLine(.state([.invalid, .related, .untracked]), then: .accept),
                    RuleLine(.member([.transport], set: "ported"), then: .goto("inbound_ported")),
                    RuleLine(then: .accept),
                ],
            ),
            ChainDefinition(
                "inbound_ported",
                [
                    RuleLine(.fromLoopback, then: .goto("loopback")),
                    RuleLine(
                        .tcpFlagsNot(mask: Self.synAck, Self.syn),
                        .member([.mark(mask: .max)], set: "current"),
                        then: .accept,
                    ),
                ] + byDepth("receiver") + [RuleLine(then: .accept)],
            ),
        ]
    }

    private var forwarding: [ChainDefinition] {
        let ported = ChainDefinition(
            "forward_ported",
            [
                RuleLine(.nfproto(.v4), then: .jump("judge4")),
                RuleLine(.nfproto(.v6), then: .jump("judge6")),
                RuleLine(then: .queue(queue(.forward))),
            ],
        )
        let base = ChainDefinition(
            "forward",
            hook: .forward,
            priority: 0,
            dropsByDefault: true,
            [
                // Before the stamp: what a packet socket put on loopback must not pass as part of a known connection.
                RuleLine(.fromLoopback, then: .log(group: refusedGroup, prefix: "forwarded-loopback"), refuses),
                RuleLine(.member([.mark(mask: .max)], set: "current"), then: .accept),
                RuleLine(.state([.related]), then: .accept),
                RuleLine(then: .setMark(Stamp(.forwarded, generation: 0, .new).mark)),
                RuleLine(.member([.identity], set: "open"), then: .goto("allow")),
                RuleLine(.member([.transport], set: "ported"), then: .goto("forward_ported")),
                RuleLine(
                    .nfproto(.v4),
                    then: .setMarkFromMap([.identity, .destination(.v4), .transport], map: "others4"),
                    .goto("answer"),
                ),
                RuleLine(
                    .nfproto(.v6),
                    then: .setMarkFromMap([.identity, .destination(.v6), .transport], map: "others6"),
                    .goto("answer"),
                ),
                RuleLine(then: .queue(queue(.forward))),
            ],
        )
        return [ported, base]
    }
}
