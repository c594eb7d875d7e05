internal import Model
internal import Ruleset
internal import Wire

/// Datagrams whose flow is settled.
extension Broker {
    /// Settles a flow of datagrams, those that wait and those that are on their way to the queue.
    mutating func settleDatagrams(
        _ waiting: [PacketReference],
        _ key: FlowKey,
        _ stamp: Stamp,
        at now: Instant,
    ) -> [BrokerAction] {
        let attempt = Attempt(key, stamp.identity)
        if let last = attempts[attempt], last.state != stamp.state, now < last.until {
            // The kernel has another answer yet; what is sent again after its lifetime gets this one.
            orphans += UInt64(waiting.count)
            return waiting.map { .answer($0, .drop) }
        }
        let until = now + .milliseconds(Int64(Self.answerLifetime))
        if stamp.state == .denied {
            attempts[attempt] = (1, until, .denied)
        } else {
            flows.pass(key, stamp, until: until)
            // What is observed has proved nothing: it passed whatever it was.
            if stamp.state == .allowed { flows.prove(key, stamp.identity, at: now) }
        }
        return answerDatagrams(waiting, key, stamp)
    }

    /// The connection of datagrams that wait is not in the kernel's table yet: each meets the answer in the rules.
    private func answerDatagrams(_ waiting: [PacketReference], _ key: FlowKey, _ stamp: Stamp) -> [BrokerAction] {
        let element = Elements.attempt(
            key.destination,
            localPort: key.localPort,
            stamp,
            timeout: Self.answerLifetime,
        )
        let set = key.destination.address.isV4 ? "answers4" : "answers6"
        let answers = waiting.map { BrokerAction.answer($0, .again) }
        let actions = [.change([ElementChange(set: set, add: [element])])] + answers
        // What is refused stays so for a while; what is allowed is stamped by now.
        return stamp.state == .denied ? actions : actions + [.changeAfter([ElementChange(set: set, remove: [element])])]
    }

    /// What becomes of a datagram that waited in the queue while its flow was settled: the same as of the flow.
    ///
    /// Nil when none was settled a moment ago.
    mutating func answeredBefore(
        _ question: PacketQuestion,
        _ key: FlowKey,
        _ identity: Identity,
        at now: Instant,
    ) -> [BrokerAction]? {
        if let last = attempts[Attempt(key, identity)], last.state == .denied, now < last.until {
            return answer(question, identity, .denied, in: "answers", at: now).actions
        }
        guard let stamp = flows.passed(key, identity, at: now) else { return nil }
        return answerDatagrams([question.reference], key, stamp)
    }

    /// Lets a datagram of an open QUIC connection pass that the kernel asks about again: after a reload, or a long silence.
    ///
    /// It has a short header (RFC 9000 §17.3); one that opens a connection proves it anew.
    ///
    /// Nil when its flow has not proved what it is.
    mutating func goOn(
        _ question: PacketQuestion,
        _ key: FlowKey,
        _ identity: Identity,
        in bytes: RawSpan,
        at now: Instant,
    ) -> [BrokerAction]? {
        guard let payload = question.packet?.payload, let first = bytes.byte(at: payload.lowerBound), first & 0x80 == 0,
            flows.isProved(key, identity, at: now)
        else { return nil }
        return settleDatagrams([question.reference], key, assignment(identity).stamp(.allowed), at: now)
    }
}

extension Broker.Attempt {
    /// That of a datagram.
    init(_ key: FlowKey, _ identity: Identity) {
        self.init(kind: .outbound, identity: identity, destination: key.destination, port: key.localPort)
    }
}
