package import Model

/// One address that the broker gave out for a name.
struct Pin: Hashable {
    let name: DomainName
    let address: IPAddress
    let learned: WallTime
    /// Until when a new connection may use it.
    var expiry: Instant
}

/// A port of a transport.
package struct ServicePort: Hashable, Sendable {
    package let transport: Transport
    package let port: UInt16

    package init(transport: Transport, port: UInt16) {
        self.transport = transport
        self.port = port
    }
}

/// What one workload was told: its names, and by which of them an address is known.
struct PinTable {
    /// At most this many addresses a name; the oldest go.
    static let addressLimit = 64
    /// At most this many names an address; the oldest go.
    ///
    /// All names of a wildcard may be one address, and every one is looked at when it is asked for.
    static let nameLimit = 64
    /// At most this many pins a workload; the oldest go.
    static let limit = 16_384
    /// At most this many addresses are remembered for the connections that are still open to them.
    static let lapsedLimit = 4096

    private(set) var byName: [DomainName: [Pin]] = [:]
    private var byAddress: [IPAddress: [DomainName]] = [:]
    /// What pins that ended were for: an open connection stays tied to the name it was opened for.
    private(set) var lapsed: [IPAddress: [DomainName]] = [:]
    private var lapsedOrder: [IPAddress] = []
    private(set) var count = 0
    /// What the kernel has of the pins, and until when.
    var elements: [IPAddress: [ServicePort: Instant]] = [:]

    var all: [Pin] { byName.values.flatMap { $0 } }

    /// The names that the address was given out for, the last first.
    func names(of address: IPAddress) -> [DomainName] { byAddress[address] ?? [] }

    /// The same, with those whose pins have ended.
    func namesEver(of address: IPAddress) -> [DomainName] {
        let names = names(of: address)
        return names + (lapsed[address] ?? []).filter { !names.contains($0) }
    }

    /// Every address that the name was answered with, as far as that is remembered.
    func addressesEver(of name: DomainName) -> [IPAddress] {
        (byName[name] ?? []).map(\.address) + lapsed.filter { $0.value.contains(name) }.map(\.key)
    }

    func pin(_ name: DomainName, _ address: IPAddress) -> Pin? { byName[name]?.first { $0.address == address } }

    /// Adds a pin, or prolongs it; gives the pins that had to go for it.
    mutating func add(_ pin: Pin) -> [Pin] {
        if let index = byName[pin.name]?.firstIndex(where: { $0.address == pin.address }) {
            if let known = byName[pin.name]?[index], known.expiry < pin.expiry {
                byName[pin.name]?[index].expiry = pin.expiry
            }
            return []
        }
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
        for pin in gone { remove(pin) }
        byName[pin.name, default: []].append(pin)
        byAddress[pin.address, default: []].insert(pin.name, at: 0)
        count += 1
        return gone
    }

    private static func oldest(_ pins: some Sequence<Pin>) -> Pin? { pins.min { $0.expiry < $1.expiry } }

    /// Takes a pin away; what is open by it stays tied to its name.
    mutating func remove(_ pin: Pin, keepingTies: Bool = true) {
        guard let index = byName[pin.name]?.firstIndex(where: { $0.address == pin.address }) else { return }
        byName[pin.name]?.remove(at: index)
        if byName[pin.name]?.isEmpty == true { byName[pin.name] = nil }
        byAddress[pin.address]?.removeAll { $0 == pin.name }
        if byAddress[pin.address]?.isEmpty == true { byAddress[pin.address] = nil }
        count -= 1
        if keepingTies { tie(pin.address, to: pin.name) }
    }

    private mutating func tie(_ address: IPAddress, to name: DomainName) {
        if lapsed[address] == nil {
            if lapsedOrder.count >= Self.lapsedLimit { lapsed[lapsedOrder.removeFirst()] = nil }
            lapsedOrder.append(address)
        }
        guard lapsed[address]?.contains(name) != true else { return }
        lapsed[address, default: []].append(name)
    }
}
