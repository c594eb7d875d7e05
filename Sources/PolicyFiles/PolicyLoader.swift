import Model
package import Policy

/// Loads policies and the host configuration from files.
///
/// Keeps what it read: loading a folder again costs one `fstatat` for each file, and a parse for each that changed. Not
/// for two threads at once.
package final class PolicyLoader {
    /// A policy file as it was read.
    private final class CachedFile {
        var stamp: FileStamp
        /// A stamp that a change may not show in: the file is read again next time.
        var isFresh: Bool
        var parsed: PolicyReader.Parsed
        /// The name of its user, unless that is a number.
        let userName: String?
        /// Whether `current` holds it.
        var isCurrent = false
        /// The load that saw it last.
        var round: Int

        init(stamp: FileStamp, isFresh: Bool, parsed: PolicyReader.Parsed, round: Int) {
            self.stamp = stamp
            self.isFresh = isFresh
            self.parsed = parsed
            self.round = round
            self.userName = parsed.workload.userName.flatMap { UInt32($0) == nil ? $0 : nil }
        }
    }

    private let resolveUser: (String) -> UInt32?
    private let resolverFile: String
    private var folder = ""
    private var cache: [String: CachedFile] = [:]
    /// What the folder listed last time, and its policies in that order; nil after a load with mistakes.
    private var listing: Listing?
    /// The folder's own stamp when it listed that; nil when a change may not show in it.
    private var folderStamp: FileStamp?
    private var files: [CachedFile] = []
    private var round = 0
    /// The last set that was loaded, and the workloads of it whose files have changed or gone since.
    private var current = PolicySet.empty
    private var outdated: Set<String> = []
    /// The users that this load has looked up.
    private var users: [String: UInt32?] = [:]

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
        if configuration.dnsUpstreams.isEmpty { configuration.dnsUpstreams = ResolverFile.nameservers(resolverFile) }
        return configuration
    }

    /// The policies of every `*.yaml` in the folder; throws every mistake in all of them.
    ///
    /// Names that begin with a dot are left out, and so is whatever has another ending; `.yml` is a mistake, so that no
    /// policy is left out silently. An empty folder is an empty set.
    package func loadPolicies(_ folder: String) throws(PolicyErrors) -> PolicySet {
        if folder != self.folder { forget(folder) }
        round += 1
        var errors: [PolicyFileError] = []
        var added: [CachedFile] = []
        let seen = try scan(&errors, added: &added)
        if seen < cache.count { dropUnseen() }
        guard errors.isEmpty else { throw PolicyErrors(errors) }
        guard !added.isEmpty || !outdated.isEmpty || current.folder != folder else { return current }
        do {
            let base = current.folder == folder ? current : try PolicySet([], folder: folder)
            current = try base.replacing(outdated, with: added.map(\.parsed.workload))
        } catch {
            throw PolicyErrors(error.conflicts.map { positioned($0) })
        }
        for file in added { file.isCurrent = true }
        outdated = []
        return current
    }

    private func forget(_ folder: String) {
        self.folder = folder
        cache = [:]
        (listing, files, folderStamp) = (nil, [], nil)
        current = .empty
        outdated = []
    }

    /// Brings the cache up to date; returns how many of its files are still there.
    private func scan(_ errors: inout [PolicyFileError], added: inout [CachedFile]) throws(PolicyErrors) -> Int {
        var seen = 0
        do {
            let open = try Folder(folder)
            let listing = try list(open)
            if let seen = rescan(listing, in: open, &errors, added: &added) { return seen }
            (self.listing, self.files, users) = (nil, [], [:])
            var files: [CachedFile] = []
            for name in listing.names {
                guard Self.ending(of: name) == "yaml" else {
                    if let mend = Self.mendOfEnding(name) { errors.append(error(name, mend)) }
                    continue
                }
                guard let file = update(name, in: open, &errors) else { continue }
                seen += 1
                files.append(file)
                if !file.isCurrent { added.append(file) }
            }
            if errors.isEmpty { (self.listing, self.files) = (listing, files) }
        } catch {
            throw PolicyErrors([PolicyFileError(file: folder, message: "the folder cannot be read: \(error.message)")])
        }
        return seen
    }

    /// What is in the folder: known when its own stamp is, for every name that comes or goes changes that.
    private func list(_ open: borrowing Folder) throws(SystemError) -> Listing {
        let now = wallClock()
        let stamp = try open.stamp()
        if let listing, stamp == folderStamp { return listing }
        let listing = try open.list()
        folderStamp = stamp.isFresh(at: now) ? nil : stamp
        return listing
    }

    /// The same for a folder that lists what it listed last time, without a name being looked at; nil for any other.
    private func rescan(
        _ listing: Listing,
        in open: borrowing Folder,
        _ errors: inout [PolicyFileError],
        added: inout [CachedFile],
    ) -> Int? {
        guard listing == self.listing, areUsersSame() else { return nil }
        let stamps = open.stamps(listing)
        for index in files.indices {
            let file = files[index]
            if file.isFresh || file.stamp != stamps[index] {
                guard let read = update(listing.policy(index), in: open, &errors) else { continue }
                files[index] = read
            } else {
                file.round = round
            }
            if !files[index].isCurrent { added.append(files[index]) }
        }
        // A file that is no policy has no place among them.
        if !errors.isEmpty { (self.listing, files) = (nil, []) }
        return cache.count
    }

    /// The file as it is now, read again only when it changed; nil, and its mistakes added, when it is not a policy.
    private func update(_ name: String, in open: borrowing Folder, _ errors: inout [PolicyFileError]) -> CachedFile? {
        let cached = cache[name]
        do {
            let stamp = try open.stamp(name)
            if let cached, !cached.isFresh, cached.stamp == stamp, isUserSame(cached) {
                cached.round = round
                return cached
            }
            guard stamp.isRegular else {
                errors.append(error(name, stamp.isDirectory ? "is a folder; a policy is a file" : "is no regular file"))
                return forget(cached, name)
            }
            let now = wallClock()
            let content = try open.read(name, limit: YAMLReader.sizeLimit)
            let parsed = try PolicyReader.parse(content.bytes, file: path(name), resolveUser: user)
            let isFresh = content.stamp.isFresh(at: now)
            _ = forget(cached, name)
            let file = CachedFile(stamp: content.stamp, isFresh: isFresh, parsed: parsed, round: round)
            cache[name] = file
            return file
        } catch let problem as PolicyErrors {
            errors += problem.errors
        } catch let problem as SystemError {
            errors.append(error(name, "cannot be read: \(problem.message)"))
        } catch {
            preconditionFailure("A file is refused by the system or by its reader.")
        }
        return forget(cached, name)
    }

    private func forget(_ cached: CachedFile?, _ name: String) -> CachedFile? {
        if let cached {
            if cached.isCurrent { outdated.insert(cached.parsed.workload.name) }
            cache[name] = nil
        }
        return nil
    }

    private func dropUnseen() {
        for (name, file) in cache where file.round != round { _ = forget(file, name) }
    }

    /// Looks up every user that the last load looked up; whether each is still the same one.
    private func areUsersSame() -> Bool {
        let before = users
        users = [:]
        return before.allSatisfy { name, uid in user(name) == uid }
    }

    private func user(_ name: String) -> UInt32? {
        if let known = users[name] { return known }
        let uid = resolveUser(name)
        users[name] = .some(uid)
        return uid
    }

    /// Whether the name of the workload's user still means the same one: accounts change without the file.
    private func isUserSame(_ file: CachedFile) -> Bool {
        guard let name = file.userName else { return true }
        return user(name) == file.parsed.workload.user
    }

    private func path(_ name: String) -> String { folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)" }

    private func error(_ name: String, _ message: String) -> PolicyFileError {
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

    private static func ending(of name: String) -> String {
        guard let dot = name.utf8.lastIndex(of: UInt8(ascii: ".")) else { return "" }
        return String(name[name.utf8.index(after: dot)...])
    }

    private static func mendOfEnding(_ name: String) -> String? {
        guard ["yaml", "yml"].contains(ending(of: name).lowercased()) else { return nil }
        let stem = String(decoding: name.utf8.dropLast(ending(of: name).utf8.count), as: UTF8.self)
        return "only files that end in .yaml are read; rename it to \(TextError.quote(stem + "yaml"))"
    }
}
