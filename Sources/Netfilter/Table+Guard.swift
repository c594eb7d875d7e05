internal import CNetfilter

extension Table {
    /// A transaction with more messages than this is large: for a watch that listened meanwhile the kernel would keep a
    /// notification of 4 KiB for every element until the end, and take five times as long (100,000 elements, Linux 6.18).
    private static let large: UInt32 = 16
    /// With less elements than this one is listened through all the same, some milliseconds longer: nothing is missed.
    private static let few = 2000

    /// What the kernel calls this table's owner in its notifications.
    package var port: UInt32 {
        get throws(NetfilterError) {
            var port: UInt32 = 0
            try check(unsafe enf_port(socket, &port), "asking for a socket's port")
            return port
        }
    }

    /// Puts the transaction in force.
    func commit(_ operation: String) throws(NetfilterError) {
        try follow { () throws(NetfilterError) in try transaction.commit(socket, operation) }
    }

    /// Puts the transaction in force; when the kernel refuses messages of it, nothing is, and which they were is told.
    func commitTelling(_ operation: String) throws(NetfilterError) -> [Int: Int32] {
        var refused: [Int: Int32] = [:]
        try follow { () throws(NetfilterError) in refused = try transaction.commitTelling(socket, operation) }
        return refused
    }

    private func follow(_ commit: () throws(NetfilterError) -> Void) throws(NetfilterError) {
        guard let watch, unsafe enf_batch_count(transaction.batch) > Self.large else { return try commit() }
        let isListening = listensThrough || transaction.elementCount < Self.few
        try watch.follow(listeningThrough: isListening, commit)
    }
}
