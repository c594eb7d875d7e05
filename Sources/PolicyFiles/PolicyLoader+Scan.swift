import Policy

extension PolicyLoader {
    /// Above this many names the two threads of a whole sweep are faster.
    private static let fewNames = 512

    /// Brings the cache up to date; returns how many of its files are still there.
    func scan(_ errors: inout [PolicyFileError], added: inout [CachedFile]) throws(PolicyErrors) -> Int {
        do {
            let open = try Folder(folder)
            let now = wallClock()
            let stamp = try open.stamp()
            // Before anything is looked at: what changes from here on is told to the next load.
            let changed = changes(in: open, stamp)
            let areUsersSame = areUsersSame()
            if areUsersSame, let places = places(of: changed, in: open) {
                look(at: places, in: open, stamp, &errors, added: &added)
                return cache.count
            }
            // The watch tells its changes once: should this load fail, the next has to look at everything.
            let known = listing
            listing = nil
            let listing = try list(open, known, stamp, at: now)
            if areUsersSame, let known, listing.hasNames(of: known) {
                sweep(listing, in: open, &errors, added: &added)
            } else {
                read(listing, in: open, &errors, added: &added)
            }
            guard errors.isEmpty else { return cache.values.count { $0.round == round } }
            settle(listing, stamp)
        } catch {
            throw PolicyErrors([PolicyFileError(file: folder, message: "the folder cannot be read: \(error.message)")])
        }
        return files.count
    }

    private func changes(in open: borrowing Folder, _ stamp: FileStamp) -> Set<FileName>? {
        if watch == nil { watch = FolderWatch() }
        return watch?.changes(in: open, stamp)
    }

    /// The places to look at when these names changed; nil when the folder may list others than last time.
    private func places(of changed: Set<FileName>?, in open: borrowing Folder) -> Set<Int>? {
        guard listing != nil, let changed, changed.count + suspects.count <= Self.fewNames else { return nil }
        var places = suspects
        for name in changed where name.matters {
            do {
                let stamp = try open.stamp(name, ofLink: true)
                guard stamp.isRegular, let file = cache[name] else { return nil }
                places.insert(file.place)
            } catch {
                guard error.isMissing, cache[name] == nil else { return nil }
            }
        }
        return places
    }

    /// Brings the files at these places up to date, in a folder that lists what it listed last time.
    private func look(
        at places: Set<Int>,
        in open: borrowing Folder,
        _ stamp: FileStamp,
        _ errors: inout [PolicyFileError],
        added: inout [CachedFile],
    ) {
        guard let listing else { return }
        for place in places.sorted() {
            guard let file = update(listing.policy(place), in: open, &errors) else { continue }
            // Only a listing tells what is mounted over a file, so trust is lost here and never won.
            file.isPlain = files[place].isPlain && file.stamp.hasOneName(on: stamp.device)
            file.place = place
            files[place] = file
            if file.canBeVouchedFor { suspects.remove(place) } else { suspects.insert(place) }
            if !file.isCurrent { added.append(file) }
        }
        // A file that is no policy has no place among them.
        if !errors.isEmpty { (self.listing, files) = (nil, []) }
    }

    /// What is in the folder: known when its own stamp is, for every name that comes or goes changes that.
    private func list(
        _ open: borrowing Folder,
        _ known: Listing?,
        _ stamp: FileStamp,
        at now: Int64,
    ) throws(SystemError) -> Listing {
        if let known, stamp == folderStamp { return known }
        let listing = try open.list()
        folderStamp = stamp.isFresh(at: now) ? nil : stamp
        return listing
    }

    /// Reads what changed in a folder that lists what it listed last time, by the stamps of all files.
    private func sweep(
        _ listing: Listing,
        in open: borrowing Folder,
        _ errors: inout [PolicyFileError],
        added: inout [CachedFile],
    ) {
        let stamps = open.stamps(listing)
        examined += stamps.count
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
    }

    /// Reads a folder name by name.
    private func read(
        _ listing: Listing,
        in open: borrowing Folder,
        _ errors: inout [PolicyFileError],
        added: inout [CachedFile],
    ) {
        (files, users) = ([], [:])
        for name in listing.names {
            guard name.ending == "yaml" else {
                if let mend = name.mendOfEnding { errors.append(error(name, mend)) }
                continue
            }
            guard let file = update(name, in: open, &errors) else { continue }
            files.append(file)
            if !file.isCurrent { added.append(file) }
        }
    }

    /// Keeps a listing whose policies are all read, and which of them the watch can vouch for.
    private func settle(_ listing: Listing, _ stamp: FileStamp) {
        self.listing = listing
        suspects = []
        for (place, file) in files.enumerated() {
            file.place = place
            file.isPlain = listing.inodes[place] == file.stamp.inode && file.stamp.hasOneName(on: stamp.device)
            if !file.canBeVouchedFor { suspects.insert(place) }
        }
    }

    /// The file as it is now, read again only when it changed; nil, and its mistakes added, when it is not a policy.
    func update(_ name: FileName, in open: borrowing Folder, _ errors: inout [PolicyFileError]) -> CachedFile? {
        examined += 1
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

    private func forget(_ cached: CachedFile?, _ name: FileName) -> CachedFile? {
        if let cached {
            if cached.isCurrent { outdated.insert(cached.parsed.workload.name) }
            cache[name] = nil
        }
        return nil
    }

    func dropUnseen() {
        for (name, file) in cache where file.round != round { _ = forget(file, name) }
    }
}
