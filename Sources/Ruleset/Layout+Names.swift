internal import Model

/// Requests for names (DNS, RFC 1035): a workload's go to the resolver of this host, whatever server they ask.
extension Layout {
    /// The port of every name server.
    static let domain: UInt16 = 53

    /// Where the resolver listens: what a redirection in the output hook makes of the address.
    private static let loopbacks = [IPAddress.v4(0x7f00_0001), .v6(1)]

    var isWorkload: Match { .markNot(mask: Self.workloadMask, 0) }

    /// What the broker has answered, without a look at any policy.
    var answered: [RuleLine] {
        [
            RuleLine(.nfproto(.v4), then: .jump("answered4")),
            RuleLine(.nfproto(.v6), then: .jump("answered6")),
        ]
    }

    /// The base chains that redirect a workload's requests for names; in force while a policy or a grant has names.
    ///
    /// With them the kernel translates addresses, which every new connection of the host pays for: a host whose policies
    /// know no names goes without, and its workloads' requests for names are refused by the broker.
    package var redirecting: [ChainDefinition] {
        [
            // Before the nat chains of others (-100): the first that translates has the last word, and what they make of
            // a service's address may not have its port. What is not redirected is judged in the output hook.
            ChainDefinition(
                "names",
                kind: .nat,
                hook: .output,
                priority: -110,
                dropsByDefault: false,
                [
                    RuleLine(
                        .member([.transport], set: "ported"),
                        .destinationPort(Self.domain),
                        then: .goto("names_identify"),
                    )
                ],
            ),
            // A socket that is bound to a device takes its packets out there, wherever they are redirected to; only here
            // the device is known.
            ChainDefinition(
                "strays",
                hook: .postrouting,
                priority: 0,
                dropsByDefault: false,
                Self.loopbacks.map { address in
                    RuleLine(
                        .destination(address),
                        .translated,
                        .notToLoopback,
                        then: .log(group: refusedGroup, prefix: Self.strayed),
                        .drop,
                    )
                },
            ),
        ]
    }

    /// What the log says of a redirected packet that was on its way out of the host.
    package static let strayed = "strayed"

    /// Whose a request for a name is, and its redirection: the first packet of a connection, all others follow it.
    var names: [ChainDefinition] {
        let identified = perDepth("names") { cgroup in
            [
                RuleLine(then: .setMarkFromMap([cgroup, .uid], map: "workloads"), .goto("names_redirect")),
                RuleLine(.owned, then: .queue(queue(.sender))),
            ]
        }
        return [
            // The host's own requests stay as they are. nft wants a port's transport in the same rule.
            ChainDefinition(
                "names_redirect",
                [Transport.udp, .tcp].map {
                    RuleLine(isWorkload, .transport($0), then: .redirect(port: resolverPort))
                },
            )
        ] + identified + [ChainDefinition("names_identify", byDepth("names"))]
    }

    /// What becomes in the output hook of requests for names.
    var resolving: [ChainDefinition] {
        [
            // No policy allows it: only an answer of the broker.
            ChainDefinition("unresolved", answered + [RuleLine(then: .goto("ask"))]),
            ChainDefinition(
                "resolving",
                // To the rules its output interface is still the one of the server that was asked.
                Self.loopbacks.map { address in
                    RuleLine(.translated, .destination(address), .destinationPort(resolverPort), then: .accept)
                } + [
                    // A connection from before the redirection, or that somebody else translated.
                    RuleLine(isWorkload, .destinationPort(Self.domain), then: .goto("unresolved"))
                ],
            ),
        ]
    }

    /// What reaches the resolver.
    ///
    /// Every packet gets the connection's mark, which the resolver reads with a datagram: who asks.
    var resolver: [ChainDefinition] {
        [
            // Past the redirection only an answer of the broker lets it in.
            ChainDefinition("resolver_direct", answered + [RuleLine(then: .goto("ask_loopback"))]),
            ChainDefinition(
                "resolver",
                [
                    RuleLine(then: .setPacketMarkFromConnection),
                    RuleLine(.translated, isWorkload, then: .goto("allow")),
                    RuleLine(.markNot(mask: Stamp.identityMask, 0), then: .goto("resolver_direct")),
                ],
            ),
            ChainDefinition(
                "resolver_port",
                Self.loopbacks.map { RuleLine(.destination($0), then: .goto("resolver")) },
            ),
        ]
    }
}
