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
    static let synAck: UInt8 = 0x12
    static let syn: UInt8 = 0x02
    static let fin: UInt8 = 0x01
    static let rst: UInt8 = 0x04

    /// A chain's verdict for what a fixed rule refuses; in observe mode nothing is.
    var refuses: Action { observesOnly ? .accept : .drop }

    /// The chains, those that others go to first.
    package var chains: [ChainDefinition] {
        settled + families.flatMap { $0 } + asking + inspecting + resolving + output + resolver + input + forwarding
            + names
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
                    RuleLine(only, .member(request, set: "pins\(suffix)"), then: .goto("admit\(suffix)")),
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
                    RuleLine(.member([.identity], set: "sieges"), then: .drop),
                    RuleLine(then: .queue(queue(.inbound))),
                ],
            ),
        )
        return chains
    }

    func queue(_ question: Question) -> UInt16 { firstQueue + question.rawValue }

    /// What begins, of an identity that was refused too often, is not asked about.
    private var flooded: RuleLine {
        RuleLine(.state([.new]), .member([.identity], set: "floods"), then: .goto("refuse"))
    }

    /// The chains that ask the broker.
    private var asking: [ChainDefinition] {
        let reply = ChainDefinition("ask_reply", [RuleLine(then: .queue(queue(.reply)))])
        let askers = (0..<Self.askers).map { index in
            ChainDefinition("ask_\(index)", [RuleLine(then: .queue(queue(.outbound) + UInt16(index)))])
        }
        let spread = RuleLine(then: .verdictMap([.mark(mask: Self.askerMask)], map: "askers"))
        return askers + [
            reply,
            ChainDefinition("flooded", [flooded]),
            ChainDefinition("ask_forward", [flooded, RuleLine(then: .queue(queue(.forward)))]),
            // What belongs to nobody is let in to some: not all of them may be refused for the flood of one.
            ChainDefinition(
                "ask_loopback",
                [RuleLine(isWorkload, then: .jump("flooded")), RuleLine(then: .queue(queue(.loopback)))],
            ),
            ChainDefinition("ask_bare", [spread]),
            ChainDefinition("ask_fast_open", withoutEarlyData + [spread]),
            ChainDefinition(
                "ask",
                [
                    RuleLine(.replyDirection, then: .goto("ask_reply")),
                    flooded,
                    RuleLine(.tcpFlags(mask: Self.synAck, equals: Self.syn), then: .goto("ask_fast_open")),
                    spread,
                ],
            ),
        ]
    }

    /// Into the chain of the depth at which the packet's socket lies; on past them when it has none.
    func byDepth(_ chain: String) -> [RuleLine] {
        var rules: [RuleLine] = []
        var upper = Self.depths.upperBound
        // Halves, deeper first, so that few are tried for any depth: a cgroup exists at every depth above its own.
        while upper > 1 {
            let lower = upper / 2 + 1
            let target = lower == upper ? "\(chain)_\(upper)" : "\(chain)_\(lower)_to_\(upper)"
            rules.append(RuleLine(.cgroupExists(level: lower), then: .goto(target)))
            upper = lower - 1
        }
        rules.append(RuleLine(.cgroupExists(level: 1), then: .goto("\(chain)_1")))
        return rules + [RuleLine(.member([.cgroup(level: 0)], set: "roots"), then: .goto("\(chain)_0"))]
    }

    func perDepth(_ chain: String, _ rules: (Field) -> [RuleLine]) -> [ChainDefinition] {
        var chains = (0...Self.depths.upperBound).map { ChainDefinition("\(chain)_\($0)", rules(.cgroup(level: $0))) }
        var upper = Self.depths.upperBound
        while upper > 2 {
            let lower = upper / 2 + 1
            let deeper = (lower + 1...upper).reversed().map {
                RuleLine(.cgroupExists(level: $0), then: .goto("\(chain)_\($0)"))
            }
            chains.append(
                ChainDefinition("\(chain)_\(lower)_to_\(upper)", deeper + [RuleLine(then: .goto("\(chain)_\(lower)"))]),
            )
            upper = lower - 1
        }
        return chains
    }

    /// What a policy's rule let through a moment ago: one lookup, whatever the policy looks like.
    var lately: [RuleLine] {
        Field.Family.allCases.map { family in
            RuleLine(
                .nfproto(family),
                then: .setMarkFromMap(Field.request(family), map: "lately\(Self.suffix(family))"),
                .accept,
            )
        }
    }

    /// What the broker answered for transports without ports.
    var others: [RuleLine] {
        Field.Family.allCases.map { family in
            RuleLine(
                .nfproto(family),
                then: .setMarkFromMap(
                    [.identity, .destination(family), .transport],
                    map: "others\(Self.suffix(family))"
                ),
                .goto("answer")
            )
        }
    }
}
