/// A named identity with its policy: what one policy file says.
package struct Workload: Hashable, Sendable {
    package var name: String
    package var owner: String?
    package var description: String?
    /// Which cgroups are its own, those below them included unless they are another workload's.
    package var cgroup: CgroupGlob
    /// Its user; nil for every user.
    package var user: UInt32?
    /// The user as the file names it.
    package var userName: String?
    package var allow: [Rule] {
        didSet { allowedNames = NameIndex(allow) }
    }
    package var deny: [Rule] {
        didSet { deniedNames = NameIndex(deny) }
    }
    package var listen: [ListenRule]
    package var unknown: UnknownMode
    package var expect: [Expectation]
    /// The file it was read from, as it was given.
    package var file: String
    /// The names of `allow`.
    private(set) var allowedNames: NameIndex
    /// The names of `deny`.
    private(set) var deniedNames: NameIndex

    package init(
        name: String,
        owner: String? = nil,
        description: String? = nil,
        cgroup: CgroupGlob,
        user: UInt32? = nil,
        userName: String? = nil,
        allow: [Rule] = [],
        deny: [Rule] = [],
        listen: [ListenRule] = [],
        unknown: UnknownMode = .deny,
        expect: [Expectation] = [],
        file: String = "",
    ) {
        self.name = name
        self.owner = owner
        self.description = description
        self.cgroup = cgroup
        self.user = user
        self.userName = userName
        self.allow = allow
        self.deny = deny
        self.listen = listen
        self.unknown = unknown
        self.expect = expect
        self.file = file
        self.allowedNames = NameIndex(allow)
        self.deniedNames = NameIndex(deny)
    }
}
