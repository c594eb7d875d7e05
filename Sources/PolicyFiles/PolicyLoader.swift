import Model
package import Policy

/// Loads policies and the host configuration from files.
///
/// Keeps what it read, and a watch on the folder: loading it again costs a look at each file that the watch names or
/// cannot vouch for, and a parse for each that changed. Not for two threads at once.
package final class PolicyLoader {
    private let resolveUser: (String) -> UInt32?
    package let resolverFile: String
    var folder = ""
    var cache: [FileName: CachedFile] = [:]
    /// Tells what changed in the folder; nil when the system has no watch to give.
    var watch: FolderWatch?
    /// What the folder listed last time, and its policies in that order; nil after a load with mistakes.
    var listing: Listing?
    /// The folder's own stamp when it listed that; nil when a change may not show in it.
    var folderStamp: FileStamp?
    var files: [CachedFile] = []
    /// The places of those that are looked at in every load.
    var suspects: Set<Int> = []
    var round = 0
    /// The last set that was loaded, and the workloads of it whose files have changed or gone since.
    private var current = PolicySet.empty
    var outdated: Set<String> = []
    /// The users that this load has looked up.
    var users: [String: UInt32?] = [:]

    /// How many files the last load looked at: the others the watch vouched for.
    package internal(set) var examined = 0

    /// A loader that asks `resolveUser` for the uid of a name, and takes the upstreams from `resolverFile` when the
    /// configuration names none.
    package init(resolveUser: @escaping (String) -> UInt32?, resolverFile: String = "/etc/resolv.conf") {
        self.resolveUser = resolveUser
        self.resolverFile = resolverFile
    }

    /// The host configuration; throws every mistake in it, or why it cannot be read.
    package func loadConfiguration(_ path: String) throws(PolicyErrors) -> HostConfiguration {
        let content: (bytes: [UInt8], stamp: FileStamp)
        do { content = try SmallFile.read(path, limit: YAMLReader.sizeLimit) } catch {
            throw PolicyErrors([PolicyFileError(file: path, message: "cannot be read: \(error.message)")])
        }
        guard content.stamp.isRegular else {
            throw PolicyErrors([PolicyFileError(file: path, message: "is not a regular file")])
        }
        var configuration = try ConfigurationReader.read(content.bytes, file: path)
        if configuration.dnsUpstreams.isEmpty {
            configuration.dnsUpstreams = try ResolverFile.nameservers(resolverFile)
        }
        return configuration
    }

    /// The policies of every `*.yaml` in the folder; throws every mistake in all of them.
    ///
    /// Names that begin with a dot are left out, and so is whatever has another ending; `.yml` is a mistake, so that no
    /// policy is left out silently. An empty folder is an empty set.
    package func loadPolicies(_ folder: String) throws(PolicyErrors) -> PolicySet {
        if folder != self.folder { forget(folder) }
        round += 1
        examined = 0
        var errors: [PolicyFileError] = []
        var added: [CachedFile] = []
        let seen = try scan(&errors, added: &added)
        if seen < cache.count { dropUnseen() }
        guard errors.isEmpty else { throw PolicyErrors(errors) }
        try put(added)
        return current
    }

    /// Makes the files part of the present set, in place of what is outdated in it.
    private func put(_ added: [CachedFile]) throws(PolicyErrors) {
        let isFirst = current.folder != folder
        do {
            if isFirst || !added.isEmpty || !outdated.isEmpty {
                let base = isFirst ? try PolicySet([], folder: folder) : current
                current = try base.replacing(outdated, with: added.map(\.parsed.workload))
            }
        } catch {
            // What is to be added is known to this load alone.
            listing = nil
            throw PolicyErrors(error.conflicts.map { positioned($0) })
        }
        for file in added { file.isCurrent = true }
        outdated = []
    }

    private func forget(_ folder: String) {
        self.folder = folder
        cache = [:]
        (listing, files, folderStamp, suspects) = (nil, [], nil, [])
        current = .empty
        outdated = []
    }

    /// Looks up every user that the last load looked up; whether each is still the same one.
    func areUsersSame() -> Bool {
        let before = users
        users = [:]
        return before.allSatisfy { name, uid in user(name) == uid }
    }

    func user(_ name: String) -> UInt32? {
        if let known = users[name] { return known }
        let uid = resolveUser(name)
        users[name] = .some(uid)
        return uid
    }

    /// Whether the name of the workload's user still means the same one: accounts change without the file.
    func isUserSame(_ file: CachedFile) -> Bool {
        guard let name = file.userName else { return true }
        return user(name) == file.parsed.workload.user
    }

    func path(_ name: FileName) -> String {
        folder.hasSuffix("/") ? folder + name.text : "\(folder)/\(name.text)"
    }

    func error(_ name: FileName, _ message: String) -> PolicyFileError {
        let shown = TextError.quote(path(name))
        return PolicyFileError(file: String(shown.dropFirst().dropLast()), message: message)
    }

    private func positioned(_ conflict: PolicyConflict) -> PolicyFileError {
        let file = cache.values.first { $0.parsed.workload.file == conflict.second.file }
        let mark = conflict.kind == .name ? file?.parsed.nameMark : file?.parsed.globMark
        return PolicyFileError(
            file: conflict.second.file,
            line: Int(mark?.line ?? 0),
            column: Int(mark?.column ?? 0),
            message: conflict.description,
        )
    }
}
