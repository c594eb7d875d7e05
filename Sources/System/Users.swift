import CLinux

/// The users and groups of the host.
///
/// Every call may ask a name service over the network: not for the verdict path.
package enum Users {
    private static let groupLimit = 1024

    /// The number of a user by name, or by its decimal number; nil when there is none of that name.
    package static func uid(_ name: String) -> UInt32? {
        if let number = UInt32(name) { return number }
        return unsafe UInt32(exactly: clx_user_id(name))
    }

    /// The name of a user; nil when it has none.
    package static func name(_ uid: UInt32) -> String? {
        unsafe String(bytes: 256) { unsafe clx_user_name(uid, $0, $1) }
    }

    /// The number of a group by name, or by its decimal number; nil when there is none of that name.
    package static func gid(ofGroup name: String) -> UInt32? {
        if let number = UInt32(name) { return number }
        return unsafe UInt32(exactly: clx_group_id(name))
    }

    /// The groups of a user by the user database, its own first; empty when the user has no entry.
    package static func groups(ofUser uid: UInt32) -> [UInt32] {
        unsafe [UInt32](unsafeUninitializedCapacity: groupLimit) { buffer, count in
            guard let start = buffer.baseAddress else { return }
            count = unsafe Int(Swift.max(0, clx_user_groups(uid, start, groupLimit)))
        }
    }
}
