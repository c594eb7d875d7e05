import Broker
import Model
import Wire

extension Broker {
    /// Judges a packet whose bytes do not matter.
    mutating func handle(_ question: PacketQuestion, at now: Instant) -> [BrokerAction] {
        handle(question, in: [UInt8]().rawBytes, at: now)
    }
}
