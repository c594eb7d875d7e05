internal import Model

extension Layout {
    /// Says who may open a connection to a socket of this host.
    var input: [ChainDefinition] {
        let receiver = RuleLine(then: .queue(queue(.receiver)))
        let arriving = perDepth("receiver") { cgroup in
            [RuleLine(then: .setMarkFromMap([cgroup], map: "owners"), .goto("arrive")), receiver]
        }
        let local = perDepth("local") { cgroup in
            [
                RuleLine(.member([cgroup, .identity], set: "residents"), then: .goto("allow")),
                RuleLine(.member([cgroup], set: "strangers"), then: .goto("local_stranger")),
            ] + answered + [RuleLine(then: .goto("ask_loopback"))]
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
                    // A connection to a resolver of the host that was not redirected.
                    RuleLine(isWorkload, .destinationPort(Self.domain), then: .goto("resolver_direct")),
                ] + lately + [
                    RuleLine(.nfproto(.v4), then: .jump("judge4")),
                    RuleLine(.nfproto(.v6), then: .jump("judge6")),
                    RuleLine(then: .goto("ask_loopback")),
                ],
            ),
            ChainDefinition(
                "loopback",
                [
                    RuleLine(.destinationPort(resolverPort), then: .jump("resolver_port")),
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
                    RuleLine(.isInspecting, .replyDirection, .transport(.tcp), then: .goto("greeting")),
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

    /// What has no socket on this host.
    var forwarding: [ChainDefinition] {
        let ported = ChainDefinition(
            "forward_ported",
            [
                RuleLine(.nfproto(.v4), then: .jump("judge4")),
                RuleLine(.nfproto(.v6), then: .jump("judge6")),
                RuleLine(then: .goto("ask_forward")),
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
            ] + others + [RuleLine(then: .goto("ask_forward"))],
        )
        return [ported, base]
    }
}
