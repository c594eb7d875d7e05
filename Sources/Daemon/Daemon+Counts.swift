internal import Broker
internal import Model
internal import Netfilter
internal import Record
internal import Ruleset
internal import System

/// What the kernel has refused by itself, and counted: taken over from an earlier daemon, and settled by this one.
extension Daemon {
    /// The windows of an earlier daemon in the kernel, and what an event tells of the packets that each refuses.
    ///
    /// Whose they are is told by the numbers of these assignments.
    /// Throws when the kernel could not be asked: the table that is put in force next counts from zero.
    func countingElements(
        _ assignments: [String: Assignment]
    ) throws(NetfilterError) -> [AheadFile.Counter: Event] {
        var found: [AheadFile.Counter: Event] = [:]
        for name in Self.setsForOne + Self.setsForMany {
            let isForMany = Self.setsForMany.contains(name)
            for set in isForMany ? [name] : [name + "4", name + "6"] {
                do throws(NetfilterError) {
                    for (key, element) in try table.counts(of: set) {
                        // What is let through without a port has such an element too.
                        guard name != "others" || Stamp.State(ofMark: element.mark) == .denied else { continue }
                        found[AheadFile.Counter(set: set, key: key)] =
                            isForMany
                            ? Self.event(set: set, of: Self.workload(ofKey: key, assignments))
                            : Self.event(ofKey: key, set: name, assignments)
                    }
                } catch  where error.isPassing {
                    throw error
                } catch {
                    note(error, "reading what was refused meanwhile")
                }
            }
        }
        return found
    }

    /// The sets whose elements refuse what is asked for of one destination, but for the family that their names end with.
    private static let setsForOne = ["denied", "knocks", "others"]

    /// The sets whose elements refuse whatever is asked for.
    ///
    /// What made the kernel do so met another window.
    private static let setsForMany = ["floods", "sieges"]

    /// The element of a window for one destination that is put in force by this.
    static func windowOfOne(_ changes: [ElementChange]) -> AheadFile.Counter? {
        for change in changes where setsForOne.contains(String(change.set.dropLast())) {
            if let element = change.add.first { return AheadFile.Counter(set: change.set, key: element.key) }
        }
        return nil
    }

    /// Takes these windows of an earlier daemon out of the kernel, and records what they counted but for their first attempts,
    /// which it had told of; how many packets each of them had met.
    func takeCounts(_ counting: [AheadFile.Counter: Event]) throws(NetfilterError) -> [AheadFile.Counter: UInt64] {
        var counts: [AheadFile.Counter: UInt64] = [:]
        for (counter, event) in counting {
            let told: UInt64 = Self.setsForMany.contains(counter.set) ? 0 : 1
            var event = event
            do throws(NetfilterError) {
                let element = SetElement(key: counter.key)
                if let packets = try table.count(of: element, in: counter.set), packets > told {
                    // Its number first: what it counts is not known yet.
                    event.count = 0
                    broker.noteEarlier(&event)
                    event.count = packets - told
                    foretell(event, countedBy: counter)
                }
                // Where the answer is lost the start fails: what was written down is what the next one tells of.
                let packets = try table.take(element, from: counter.set) ?? 0
                counts[counter] = packets
                guard packets > told else { continue }
                event.count = packets - told
                broker.noteEarlier(&event)
                foretell([AheadFile.Line(event: event, taken: counter)])
                append(event)
            } catch  where error.isPassing {
                throw error
            } catch {
                note(error, "taking what was refused meanwhile")
            }
        }
        return counts
    }

    private static func event(set: String, of workload: String?) -> Event {
        let isInbound = set == "knocks" || set == "sieges"
        var event = Event(time: Clock.wall(), kind: isInbound ? .inbound : .request)
        event.verdict = .deny
        event.reason = setsForMany.contains(set) ? .limit : isInbound ? .notListening : .unknownDestination
        event.workload = workload
        event.message = "refused by the kernel while no daemon ran, or just before"
        return event
    }

    /// Whose element it is, by the mark that its key begins with, as events name it; nil for what is no workload.
    ///
    /// Which workload's cgroup a foreign user was in does not stand there.
    private static func workload(ofKey key: [UInt8], _ assignments: [String: Assignment]) -> String? {
        guard key.count >= 4 else { return nil }
        let identity = Identity(number: UInt16(key[2]) | UInt16(key[3]) << 8)
        if identity == .daemon { return Broker.ownName }
        guard identity.isWorkload else { return nil }
        return assignments.first { $0.value.identity == identity }?.key
    }

    private static func event(ofKey key: [UInt8], set: String, _ assignments: [String: Assignment]) -> Event? {
        let width = key.count > 20 || set == "others" && key.count > 12 ? 16 : 4
        guard key.count >= 8 + width else { return nil }
        let bits = key[4..<4 + width].reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
        let ports = key.count >= 12 + width
        var event = event(set: set, of: workload(ofKey: key, assignments))
        event.destination = Destination(
            address: width == 4 ? .v4(UInt32(truncatingIfNeeded: bits)) : IPAddress(wire: bits),
            port: ports ? UInt16(key[8 + width]) << 8 | UInt16(key[9 + width]) : 0,
            transport: Transport(number: key[4 + width]),
        )
        return event
    }
}

extension AheadFile.Counter {
    init(_ window: Window.Key) { self.init(set: window.set, key: window.element.key) }
}

extension Stamp.State {
    fileprivate init?(ofMark mark: UInt32) { self.init(rawValue: UInt8(truncatingIfNeeded: mark)) }
}
