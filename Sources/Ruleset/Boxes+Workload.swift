import Model
package import Policy

extension Boxes {
    /// What the kernel may let out for a workload without asking: its mappable rules without its denies, sorted and disjoint.
    ///
    /// A destination is in a box if and only if the evaluator allows it by address, port and transport alone. The metadata
    /// addresses are cut out unless an allow rule names exactly them.
    package static func outbound(of workload: Workload) -> [Box] {
        cut(allow: workload.mappable.flatMap(boxes(of:)), deny: outboundDenies(of: workload))
    }

    /// Who may open connections to a workload: the boxes of its `listen` rules, sorted and disjoint.
    ///
    /// The addresses are the peers', the ports the workload's own.
    package static func inbound(of workload: Workload) -> [Box] {
        cut(allow: workload.listen.flatMap { boxes($0.from, $0.ports) }, deny: [mapped(.tcp), mapped(.udp)])
    }

    /// What no box of a workload may hold.
    static func outboundDenies(of workload: Workload) -> [Box] {
        let special = boxes(workload.deniedSpecialAddresses.map { AddressPrefix($0) }, [.any])
        return workload.deny.flatMap(boxes(of:)) + special + [mapped(.tcp), mapped(.udp)]
    }

    /// The boxes of a rule's addresses; its names have none.
    static func boxes(of rule: Rule) -> [Box] {
        let prefixes = rule.targets.flatMap { target -> [AddressPrefix] in
            switch target {
            case .any: [.allV4, .allV6]
            case .prefix(let prefix): [prefix]
            case .name: []
            }
        }
        return boxes(prefixes, rule.ports)
    }

    private static func boxes(_ prefixes: [AddressPrefix], _ ports: [PortSpec]) -> [Box] {
        prefixes.flatMap { prefix in
            ports.flatMap { port in port.transports.map { Box(prefix, transport: $0, ports: port.range) } }
        }
    }

    /// The v4-mapped IPv6 addresses (`::ffff:0:0/96`).
    ///
    /// To the evaluator they are the IPv4 addresses they hold. The kernel does not know that, so they are asked about.
    private static func mapped(_ transport: Transport) -> Box {
        guard
            let box = Box(
                lower: .v6(0xffff_0000_0000),
                upper: .v6(0xffff_ffff_ffff),
                transport: transport,
                ports: .all,
            )
        else { preconditionFailure("The bounds are constants in order.") }
        return box
    }
}
