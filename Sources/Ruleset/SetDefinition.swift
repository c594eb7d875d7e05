package import Model

/// A named set or map of the table.
package struct SetDefinition: Hashable, Sendable {
    /// The type of one field of a key, or of the data, as nft numbers and names it (`src/datatype.c` of nftables).
    package enum FieldType: UInt32, Hashable, Sendable {
        case ipv4 = 7
        case ipv6 = 8
        case transport = 12
        case service = 13
        case mark = 19
        case uid = 24
        case cgroup = 46

        /// The length in bytes as the kernel compares it.
        package var length: UInt8 {
            switch self {
            case .transport: 1
            case .service: 2
            case .ipv4, .mark, .uid: 4
            case .cgroup: 8
            case .ipv6: 16
            }
        }

        /// nft's name.
        package var name: String {
            switch self {
            case .ipv4: "ipv4_addr"
            case .ipv6: "ipv6_addr"
            case .transport: "inet_proto"
            case .service: "inet_service"
            case .mark: "mark"
            case .uid: "uid"
            case .cgroup: "cgroupsv2"
            }
        }
    }

    /// What an element holds beside its key.
    package enum Data: Hashable, Sendable {
        case none, mark, verdict
    }

    package let name: String
    package let key: [FieldType]
    package let data: Data
    /// Keys are ranges.
    package let isInterval: Bool
    /// Elements may have a timeout.
    package let hasTimeout: Bool
    /// Every element counts the packets that found it.
    package let counts: Bool
    /// How many elements it can have; 0 for as many as there are.
    ///
    /// With a limit the kernel takes a table of fixed size, which is found faster.
    package let size: UInt32

    package init(
        _ name: String,
        key: [FieldType],
        data: Data = .none,
        isInterval: Bool = false,
        hasTimeout: Bool = false,
        counts: Bool = false,
        size: UInt32 = 0,
    ) {
        self.name = name
        self.key = key
        self.data = data
        self.isInterval = isInterval
        self.hasTimeout = hasTimeout
        self.counts = counts
        self.size = size
    }

    /// The length of a key in bytes: in a concatenation every field is padded to 4.
    package var keyLength: Int {
        key.count == 1 ? Int(key[0].length) : key.reduce(0) { $0 + (Int($1.length) + 3) & ~3 }
    }
}

/// One element of a set or map.
package struct SetElement: Hashable, Sendable {
    package enum Data: Hashable, Sendable {
        case none
        case mark(UInt32)
        /// A verdict `goto` this chain, or `jump` to it.
        case goto(String)
        case jump(String)
    }

    /// The key's bytes: every field padded to 4, in the order the kernel compares (``Key``).
    package let key: [UInt8]
    /// The inclusive upper bounds, for an interval.
    package let keyEnd: [UInt8]?
    package let data: Data
    /// Milliseconds until the kernel removes it; 0: never.
    package let timeout: UInt64

    package init(key: [UInt8], keyEnd: [UInt8]? = nil, data: Data = .none, timeout: UInt64 = 0) {
        self.key = key
        self.keyEnd = keyEnd
        self.data = data
        self.timeout = timeout
    }
}

/// A change of one set's elements.
package struct ElementChange: Hashable, Sendable {
    package let set: String
    package var remove: [SetElement]
    package var add: [SetElement]

    package init(set: String, remove: [SetElement] = [], add: [SetElement] = []) {
        self.set = set
        self.remove = remove
        self.add = add
    }
}

/// Builds the bytes of a key.
///
/// Marks, users and cgroup ids are in host byte order as the kernel's registers hold them, except in an interval, where the
/// mark is in network byte order so that ranges compare; addresses and ports are always in network byte order.
package struct Key {
    package private(set) var bytes: [UInt8] = []

    package init(capacity: Int = 28) { bytes.reserveCapacity(capacity) }

    package mutating func host(_ value: UInt32) {
        for shift in stride(from: 0, through: 24, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(shift)))
        }
    }

    package mutating func host(_ value: UInt64) {
        host(UInt32(truncatingIfNeeded: value))
        host(UInt32(truncatingIfNeeded: value >> 32))
    }

    package mutating func network(_ value: UInt32) {
        for shift in stride(from: 24, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(shift)))
        }
    }

    package mutating func address(_ address: IPAddress) {
        switch address {
        case .v4(let value): network(value)
        case .v6(let value):
            for shift in stride(from: 96, through: 0, by: -32) {
                network(UInt32(truncatingIfNeeded: value >> UInt128(shift)))
            }
        }
    }

    package mutating func transport(_ transport: Transport) {
        bytes.append(transport.number)
        for _ in 0..<3 { bytes.append(0) }
    }

    package mutating func port(_ port: UInt16) {
        bytes.append(UInt8(port >> 8))
        bytes.append(UInt8(port & 255))
        for _ in 0..<2 { bytes.append(0) }
    }
}
