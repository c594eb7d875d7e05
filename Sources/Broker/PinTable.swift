package import Model

/// One address that the broker gave out for a name.
struct Pin: Hashable {
    let name: DomainName
    let address: IPAddress
    let learned: WallTime
    /// Until when a new connection may use it.
    var expiry: Instant
}

/// What a pin that ended was for: an open connection stays tied to the name it was opened for.
struct Tie: Hashable {
    let name: DomainName
    let address: IPAddress
    let learned: WallTime
    /// Whether the next daemon is to know of it, too.
    var isStored: Bool
}

/// A port of a transport.
package struct ServicePort: Hashable, Sendable {
    package let transport: Transport
    package let port: UInt16

    package init(transport: Transport, port: UInt16) {
        self.transport = transport
        self.port = port
    }

    /// As people write them, in order: `443`, `8443/udp`.
    package static func texts(_ ports: Set<Self>) -> [String] {
        ports.sorted { ($0.port, $0.transport.number) < ($1.port, $1.transport.number) }.map {
            $0.transport == .tcp ? "\($0.port)" : "\($0.port)/\($0.transport)"
        }
    }
}

/// What one workload was told: its names, and by which of them an address is known.
struct PinTable {
    /// At most this many addresses a name; the oldest go.
    static let addressLimit = 64
    /// At most this many names an address; those that end first go.
    ///
    /// All names of a wildcard may be one address, and every one is looked at when it is asked for.
    static let nameLimit = 64
    /// At most this many pins a workload; the oldest go.
    static let limit = 16_384
    /// At most this many names of addresses are remembered for the connections that are still open to them; those whose pins
    /// ended first go.
    static let tieLimit = 4096

    private(set) var byName: [DomainName: [Pin]] = [:]
    /// The names of an address, that which ends last first.
    private var byAddress: [IPAddress: [DomainName]] = [:]
    private var tiesByAddress: [IPAddress: [Tie]] = [:]
    /// In the order in which they came.
    private var tieOrder: [(address: IPAddress, name: DomainName)] = []
    private(set) var count = 0
    /// What the kernel has of the pins, and until when.
    var elements: [IPAddress: [ServicePort: Instant]] = [:]

    var all: [Pin] { byName.values.flatMap { $0 } }

    /// What ended pins were for.
    var ties: [Tie] { tiesByAddress.values.flatMap { $0 } }

    /// The names that the address was given out for, that whose pin ends last first.
    func names(of address: IPAddress) -> [DomainName] { byAddress[address] ?? [] }

    /// The same, with those whose pins have ended.
    func namesEver(of address: IPAddress) -> [DomainName] {
        let names = names(of: address)
        return names + (tiesByAddress[address] ?? []).map(\.name)
    }

    /// Every address that the name was answered with, as far as that is remembered.
    func addressesEver(of name: DomainName) -> [IPAddress] {
        (byName[name] ?? []).map(\.address) + ties.filter { $0.name == name }.map(\.address)
    }

    func pin(_ name: DomainName, _ address: IPAddress) -> Pin? { byName[name]?.first { $0.address == address } }

    /// Adds a pin, or prolongs it; gives the pins that had to go for it, which are not tied yet.
    mutating func add(_ pin: Pin) -> [Pin] {
        if let index = byName[pin.name]?.firstIndex(where: { $0.address == pin.address }) {
            if let known = byName[pin.name]?[index], known.expiry < pin.expiry {
                byName[pin.name]?[index].expiry = pin.expiry
                byAddress[pin.address]?.removeAll { $0 == pin.name }
                insertByEnd(pin)
            }
            return []
        }
        untie(pin.address, from: pin.name)
        var gone: [Pin] = []
        if let pins = byName[pin.name], pins.count >= Self.addressLimit, let oldest = Self.oldest(pins) {
            gone.append(oldest)
        } else if count >= Self.limit, let oldest = Self.oldest(byName.values.lazy.flatMap { $0 }) {
            gone.append(oldest)
        }
        if let names = byAddress[pin.address], names.count >= Self.nameLimit, let last = names.last,
            let oldest = self.pin(last, pin.address), !gone.contains(oldest)
        {
            gone.append(oldest)
        }
        for pin in gone { detach(pin) }
        byName[pin.name, default: []].append(pin)
        insertByEnd(pin)
        count += 1
        return gone
    }

    /// Of two that end at the same time the order is that in which they are stored.
    private mutating func insertByEnd(_ pin: Pin) {
        let names = byAddress[pin.address] ?? []
        let place = names.firstIndex { name in
            guard let other = self.pin(name, pin.address) else { return true }
            return other.expiry == pin.expiry ? pin.name < name : other.expiry < pin.expiry
        }
        byAddress[pin.address, default: []].insert(pin.name, at: place ?? names.count)
    }

    private static func oldest(_ pins: some Sequence<Pin>) -> Pin? { pins.min { $0.expiry < $1.expiry } }

    /// Takes a pin away, if it is there still; what is open by it stays tied to its name.
    ///
    /// Gives the ties that had to go for this one.
    mutating func end(_ pin: Pin, isStored: Bool) -> [Tie] {
        detach(pin)
        return tie(Tie(name: pin.name, address: pin.address, learned: pin.learned, isStored: isStored))
    }

    private mutating func detach(_ pin: Pin) {
        guard let index = byName[pin.name]?.firstIndex(where: { $0.address == pin.address }) else { return }
        byName[pin.name]?.remove(at: index)
        if byName[pin.name]?.isEmpty == true { byName[pin.name] = nil }
        byAddress[pin.address]?.removeAll { $0 == pin.name }
        if byAddress[pin.address]?.isEmpty == true { byAddress[pin.address] = nil }
        count -= 1
    }

    private mutating func tie(_ tie: Tie) -> [Tie] {
        untie(tie.address, from: tie.name)
        tiesByAddress[tie.address, default: []].append(tie)
        tieOrder.append((tie.address, tie.name))
        guard tieOrder.count > Self.tieLimit else { return [] }
        let oldest = tieOrder[0]
        return untie(oldest.address, from: oldest.name).map { [$0] } ?? []
    }

    @discardableResult
    private mutating func untie(_ address: IPAddress, from name: DomainName) -> Tie? {
        guard let index = tiesByAddress[address]?.firstIndex(where: { $0.name == name }) else { return nil }
        let tie = tiesByAddress[address]?.remove(at: index)
        if tiesByAddress[address]?.isEmpty == true { tiesByAddress[address] = nil }
        if let place = tieOrder.firstIndex(where: { $0.address == address && $0.name == name }) {
            tieOrder.remove(at: place)
        }
        return tie
    }

    /// The next daemon is not to know of what this was for.
    mutating func forgetStored(_ tie: Tie) {
        guard let index = tiesByAddress[tie.address]?.firstIndex(of: tie) else { return }
        tiesByAddress[tie.address]?[index].isStored = false
    }
}
