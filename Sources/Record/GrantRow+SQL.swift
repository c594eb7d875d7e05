import Model

extension GrantRow {
    static let columns = """
        workload, address, length, port, transport, granted, duration, remaining, saved, reason, actor, request, state, id, \
        name, ports, protocol
        """

    /// Inserts the row; its number, which is a new one when `id` is 0.
    func insert(into database: Database) throws(StoreError) -> Int64 {
        try database.run(
            "INSERT INTO grants (\(Self.columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [.text(workload)] + target.addressValues + [
                .integer(granted.microseconds), .integer(duration.nanoseconds), .integer(remaining.nanoseconds),
                .integer(saved.microseconds), .text(reason), .text(actor), Value(request), .text(state.rawValue),
                id == 0 ? .null : .integer(id),
            ] + target.nameValues,
        )
        guard id == 0 else { return id }
        guard let given = try database.number("SELECT last_insert_rowid()") else {
            throw StoreError.corrupt("an inserted grant has no number")
        }
        return given
    }

    /// Changes what became of a grant; nothing when there is none with the number.
    static func set(_ id: Int64, to state: State, in database: Database) throws(StoreError) {
        try database.run("UPDATE grants SET state = ?2 WHERE id = ?1", [.integer(id), .text(state.rawValue)])
    }

    init(_ row: Row) throws(StoreError) {
        let id: Int64 = try row.required(13, of: "a grant")
        let this = "grant \(id)"
        self.init(
            id: id,
            workload: try row.required(0, of: this) { $0 },
            target: try Target(row, of: this),
            granted: WallTime(microseconds: try row.required(5, of: this)),
            duration: Instant.Span(nanoseconds: try row.required(6, of: this)),
            reason: try row.required(9, of: this) { $0 },
            actor: try row.required(10, of: this) { $0 },
            request: row.integer(11),
            state: try row.required(12, of: this) { State(rawValue: $0) },
        )
        remaining = Instant.Span(nanoseconds: try row.required(7, of: this))
        saved = WallTime(microseconds: try row.required(8, of: this))
    }
}

extension GrantRow.Target {
    /// The columns address, length, port and transport.
    fileprivate var addressValues: [Value] {
        switch self {
        case .name: [.null, .null, .null, .null]
        case .address(let prefix, let port, let transport):
            [
                .text(prefix.address.description), .integer(Int64(prefix.length)), Value(port.map { Int64($0) }),
                .integer(Int64(transport.number)),
            ]
        }
    }

    /// The columns name, ports and protocol.
    fileprivate var nameValues: [Value] {
        switch self {
        case .name(let name, let ports, let spoken):
            [.text(name.text), .text(ports), spoken.map { .text($0) } ?? .null]
        case .address: [.null, .null, .null]
        }
    }

    fileprivate init(_ row: Row, of this: String) throws(StoreError) {
        guard row.text(14) == nil else {
            self = .name(
                try row.required(14, of: this) { try? DomainName($0) },
                ports: try row.required(15, of: this) { $0.isEmpty ? nil : $0 },
                protocol: row.text(16),
            )
            return
        }
        let base = try row.required(1, of: this) { IPAddress($0) }
        guard let prefix = AddressPrefix(address: base, length: try row.required(2, of: this)) else {
            throw StoreError.corrupt("the prefix of \(this)")
        }
        // Not nil for a number that is no port: that would widen the grant to all of them.
        let port: UInt16? = row.integer(3) == nil ? nil : try row.required(3, of: this)
        self = .address(prefix, port: port, Transport(number: try row.required(4, of: this)))
    }
}
