/// The static and the dynamic table of a decoder (RFC 7541 §2.3), with one space of indices: 1 is the static table's first.
struct HPACKTable {
    /// The size that the dynamic table has before a peer says otherwise, and the most that is allowed here.
    static let sizeLimit = 4_096

    /// The newest last.
    private var entries: [HPACKField] = []
    private(set) var size = 0
    private var limit = Self.sizeLimit

    /// The entry at an index; nil when there is none.
    subscript(index: Int) -> HPACKField? {
        guard index > 0 else { return nil }
        guard index > Self.fixed.count else { return Self.fixed[index - 1] }
        let place = entries.count - (index - Self.fixed.count)
        return place >= 0 ? entries[place] : nil
    }

    /// Adds an entry; one that is larger than the table empties it (§4.4).
    mutating func add(_ field: HPACKField) {
        evict(until: limit - field.size)
        guard field.size <= limit else { return }
        entries.append(field)
        size += field.size
    }

    /// Changes the most it may hold.
    mutating func resize(to limit: Int) {
        self.limit = limit
        evict(until: limit)
    }

    private mutating func evict(until room: Int) {
        var gone = 0
        while size > room, gone < entries.count {
            size -= entries[gone].size
            gone += 1
        }
        entries.removeFirst(gone)
    }

    /// The static table (appendix A).
    static let fixed: [HPACKField] = [
        (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
        (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
        (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
        ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
        ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""), ("cache-control", ""),
        ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
        ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""), ("date", ""),
        ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""),
        ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""), ("if-unmodified-since", ""),
        ("last-modified", ""), ("link", ""), ("location", ""), ("max-forwards", ""), ("proxy-authenticate", ""),
        ("proxy-authorization", ""), ("range", ""), ("referer", ""), ("refresh", ""), ("retry-after", ""),
        ("server", ""), ("set-cookie", ""), ("strict-transport-security", ""), ("transfer-encoding", ""),
        ("user-agent", ""), ("vary", ""), ("via", ""), ("www-authenticate", ""),
    ].map { HPACKField(name: Array($0.0.utf8), value: Array($0.1.utf8)) }
}
