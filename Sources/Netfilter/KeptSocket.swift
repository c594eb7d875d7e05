internal import CNetfilter

/// A netlink socket that an earlier process left with the service manager, and what is bound to it.
///
/// What the kernel has bound to it goes on as long as anybody has the socket: packets wait, and a table keeps its owner.
enum KeptSocket {
    /// What can be bound to it.
    enum Kind {
        case queues, logs
    }

    /// Of the queue or log group of a number: the netlink port of the socket that has it, and a queue's last packet.
    struct Binding {
        let port: UInt32
        let last: UInt32
    }

    /// NETLINK_NETFILTER of include/uapi/linux/netlink.h.
    static let netfilter: Int32 = 12

    /// The first of these sockets that can be used, with its netlink port.
    ///
    /// The others are closed, and why the last of them was refused is told.
    static func choose(
        _ descriptors: [Int32],
        buffer: UInt32,
        bound: (kind: Kind, numbers: Set<UInt16>)? = nil,
    ) -> (found: (descriptor: Int32, port: UInt32)?, refusal: String?) {
        var found: (descriptor: Int32, port: UInt32)?
        var refusal: String?
        for descriptor in descriptors {
            guard found == nil else {
                enf_close(descriptor)
                continue
            }
            do throws(NetfilterError) {
                let port = try adopt(descriptor, buffer: buffer)
                if let bound { try check(descriptor, port, bound.kind, bound.numbers) }
                found = (descriptor, port)
            } catch {
                refusal = "\(error)"
                enf_close(descriptor)
            }
        }
        return (found, refusal)
    }

    private static func adopt(_ descriptor: Int32, buffer: UInt32) throws(NetfilterError) -> UInt32 {
        var port: UInt32 = 0
        try Netfilter.check(
            unsafe enf_adopt(descriptor, netfilter, buffer, &port),
            "taking over descriptor \(descriptor), which is no netfilter socket of this network namespace",
        )
        return port
    }

    /// Refuses a socket that has other numbers than these, and has the kernel take them back: the service manager's copy would
    /// keep them bound.
    private static func check(
        _ descriptor: Int32,
        _ port: UInt32,
        _ kind: Kind,
        _ wanted: Set<UInt16>,
    ) throws(NetfilterError) {
        do throws(NetfilterError) {
            let own = Set(try bindings(kind).filter { $0.value.port == port }.keys)
            guard own != wanted else { return }
            giveBack(own, of: descriptor, kind)
            throw NetfilterError(
                code: NetfilterError.notFound,
                operation: "it has the numbers \(own.sorted()) and not \(wanted.sorted())",
            )
        } catch {
            giveBack(wanted, of: descriptor, kind)
            throw error
        }
    }

    /// What the socket does not have is refused by the kernel, and nothing is done about it.
    private static func giveBack(_ numbers: Set<UInt16>, of descriptor: Int32, _ kind: Kind) {
        // An answer needs room.
        enf_discard(descriptor)
        for number in numbers {
            _ = kind == .queues ? enf_queue_unbind(descriptor, number) : enf_log_unbind(descriptor, number)
        }
    }

    /// The queues or log groups of this network namespace that somebody has, by number.
    static func bindings(_ kind: Kind) throws(NetfilterError) -> [UInt16: Binding] {
        var found = [enf_binding](repeating: enf_binding(), count: 1024)
        let count = try Netfilter.check(
            unsafe enf_bindings(kind == .logs, &found, UInt32(found.count)),
            "reading /proc/self/net/netfilter",
        )
        let pairs = found.prefix(Int(count)).map { ($0.number, Binding(port: $0.port, last: $0.last)) }
        return Dictionary(pairs) { first, _ in first }
    }
}
