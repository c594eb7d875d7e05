package import Model

/// One line of the report: something that keeps packets in, or a way on which they may get out.
package struct Check: Hashable, Sendable {
    /// How it stands.
    package enum State: String, Sendable, CaseIterable {
        /// Nothing gets out on this way, or what is needed is there.
        case enforced
        /// It holds with a limit, which `consequence` names.
        case partly
        /// Something can get out that no policy allows.
        case open
        /// It could not be looked at.
        case unknown
        /// This host has no such thing now.
        case absent
        /// A risk that no packet filter takes away.
        case residual
    }

    /// What a check is about, in the order in which a packet meets it.
    package enum Group: String, Sendable, CaseIterable {
        case daemon, kernel, path, doors, policy, residual
    }

    /// `GROUP.NAME`: never changes its meaning.
    package let id: String
    package let title: String
    package let state: State
    /// What was found.
    package let detail: String
    /// What follows from it; nil when all is well.
    package let consequence: String?
    /// What to do about it.
    package let mend: String?
    /// Its row in the README's table of what is enforced.
    package let bypass: Int?

    package init(
        _ id: String,
        _ title: String,
        _ state: State,
        _ detail: String,
        consequence: String? = nil,
        mend: String? = nil,
        bypass: Int? = nil,
    ) {
        self.id = id
        self.title = title
        self.state = state
        self.detail = detail
        self.consequence = consequence
        self.mend = mend
        self.bypass = bypass
    }

    /// The part of the identifier before the dot.
    package var group: Group { Group(rawValue: String(id.prefix { $0 != "." })) ?? .residual }
}

extension Check {
    /// The object of a report; what is not there is null, so that the shape is always the same.
    package var json: JSON {
        [
            "id": .string(id), "group": .string(group.rawValue), "title": .string(title),
            "state": .string(state.rawValue), "detail": .string(detail), "consequence": JSON(consequence) ?? .null,
            "mend": JSON(mend) ?? .null, "bypass": JSON(bypass) ?? .null,
        ]
    }
}
