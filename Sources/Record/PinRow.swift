package import Model

/// An address that a workload was given for a name, and until when it may reach it by that.
///
/// One that has ended is kept for the connections that are open by it.
package struct PinRow: Hashable, Sendable {
    /// What there is one row of.
    package struct Key: Hashable, Sendable {
        package var workload: String
        package var name: DomainName
        package var address: IPAddress

        package init(workload: String, name: DomainName, address: IPAddress) {
            self.workload = workload
            self.name = name
            self.address = address
        }
    }

    /// How many rows are kept; those that have ended, and those that expire first, go.
    package static let maximum = 100_000
    /// How many rows are kept over a start whose time is up; those that ended first go.
    package static let endedMaximum = 20_000

    package var workload: String
    package var name: DomainName
    package var address: IPAddress
    /// When an answer held the address last.
    package var learned: WallTime
    package var expires: WallTime
    /// Whether it has ended, at `expires`: no date that the clock is set back to makes it valid again.
    package var hasEnded: Bool

    package init(
        workload: String,
        name: DomainName,
        address: IPAddress,
        learned: WallTime,
        expires: WallTime,
        hasEnded: Bool = false,
    ) {
        self.workload = workload
        self.name = name
        self.address = address
        self.learned = learned
        self.expires = expires
        self.hasEnded = hasEnded
    }

    package var key: Key { Key(workload: workload, name: name, address: address) }
}
