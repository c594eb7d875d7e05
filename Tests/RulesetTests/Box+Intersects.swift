import Model
import Ruleset

extension Box {
    /// Whether some destination lies in both boxes.
    func intersects(_ other: Box) -> Bool {
        transport == other.transport && lower.isV4 == other.lower.isV4 && lower <= other.upper && other.lower <= upper
            && ports.lower <= other.ports.upper && other.ports.lower <= ports.upper
    }
}
