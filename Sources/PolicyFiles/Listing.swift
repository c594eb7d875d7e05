/// The names in a folder, in the order in which the system gave them.
struct Listing: Equatable {
    /// Each name with a NUL after it.
    private(set) var bytes: [UInt8] = []
    /// Where the names begin that end in `.yaml`.
    private(set) var policies: [Int] = []

    /// Adds a name.
    mutating func append(_ name: UnsafeRawBufferPointer) {
        let start = bytes.count
        unsafe bytes.append(contentsOf: name)
        if bytes[start...].count > 5, bytes[(bytes.count - 5)...].elementsEqual(".yaml".utf8) { policies.append(start) }
        bytes.append(0)
    }

    /// All names.
    var names: [String] {
        bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The name of the policy at this place among the policies.
    func policy(_ index: Int) -> String {
        String(decoding: bytes[policies[index]...].prefix { $0 != 0 }, as: UTF8.self)
    }
}
