/// Finds the workloads whose globs match a path without trying each glob.
///
/// Literal globs are found by their text. The others are found by what stands before their first star and after their
/// last: a policy set has few lengths of these, so a path costs a few hash look-ups however many workloads there are.
struct IdentityIndex: Sendable {
    /// A workload as far as identities need it.
    struct Entry: Hashable, Sendable {
        let glob: CgroupGlob
        let user: UInt32?
        let workload: String
    }

    /// The globs with one text before the first star, by the text after the last.
    private struct Bucket: Sendable {
        var tails: [String: [Entry]] = [:]
        var lengths = LengthCounts()
    }

    private var literals: [String: [Entry]] = [:]
    private var heads: [String: Bucket] = [:]
    private var lengths = LengthCounts()

    mutating func insert(_ workload: Workload) {
        let entry = Entry(workload)
        guard let (head, tail) = Self.keys(of: entry.glob) else {
            literals[entry.glob.text, default: []].append(entry)
            return
        }
        if heads[head] == nil { lengths.add(head.utf8.count) }
        var bucket = heads.removeValue(forKey: head) ?? Bucket()
        if bucket.tails[tail] == nil { bucket.lengths.add(tail.utf8.count) }
        bucket.tails[tail, default: []].append(entry)
        heads[head] = bucket
    }

    mutating func remove(_ workload: Workload) {
        let entry = Entry(workload)
        guard let (head, tail) = Self.keys(of: entry.glob) else {
            literals[entry.glob.text]?.removeAll { $0 == entry }
            if literals[entry.glob.text]?.isEmpty == true { literals[entry.glob.text] = nil }
            return
        }
        guard var bucket = heads.removeValue(forKey: head) else { return }
        bucket.tails[tail]?.removeAll { $0 == entry }
        if bucket.tails[tail]?.isEmpty == true {
            bucket.tails[tail] = nil
            bucket.lengths.remove(tail.utf8.count)
        }
        if bucket.tails.isEmpty { lengths.remove(head.utf8.count) } else { heads[head] = bucket }
    }

    /// The workloads whose glob matches exactly this path, which has no leading slash; its parents are not tried.
    func entries(matching path: String) -> [Entry] {
        // Dictionaries take canonically equivalent texts for equal, cgroups do not: the glob has the last word.
        var found = (literals[path] ?? []).filter { $0.glob.matches(path) }
        let bytes = path.utf8
        for length in lengths.ascending {
            guard length <= bytes.count else { break }
            guard let bucket = heads[String(decoding: bytes.prefix(length), as: UTF8.self)] else { continue }
            for length in bucket.lengths.ascending {
                guard length <= bytes.count else { break }
                guard let entries = bucket.tails[String(decoding: bytes.suffix(length), as: UTF8.self)] else {
                    continue
                }
                found += entries.filter { $0.glob.matches(path) }
            }
        }
        return found
    }

    private static func keys(of glob: CgroupGlob) -> (head: String, tail: String)? {
        let head = glob.head
        guard head.endIndex != glob.text.utf8.endIndex else { return nil }
        return (String(Substring(head)), String(Substring(glob.tail)))
    }
}

extension IdentityIndex.Entry {
    init(_ workload: Workload) {
        self.init(glob: workload.cgroup, user: workload.user, workload: workload.name)
    }
}

/// Which lengths are in use, and how often.
private struct LengthCounts: Sendable {
    private(set) var ascending: [Int] = []
    private var counts: [Int: Int] = [:]

    mutating func add(_ length: Int) {
        counts[length, default: 0] += 1
        if counts[length] == 1 {
            ascending.insert(length, at: ascending.firstIndex { $0 > length } ?? ascending.endIndex)
        }
    }

    mutating func remove(_ length: Int) {
        counts[length, default: 1] -= 1
        if counts[length] == 0 {
            counts[length] = nil
            ascending.removeAll { $0 == length }
        }
    }
}
