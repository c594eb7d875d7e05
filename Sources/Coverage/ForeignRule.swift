/// What a rule of another tool does that concerns egressd.
package struct ForeignRule: Hashable, Sendable {
    /// What becomes of packets by it.
    package enum Reach: Sendable {
        /// They are judged here all the same.
        case none
        /// What is allowed is lost.
        case breaks
        /// They pass once their connection was allowed, whatever becomes of it.
        case outlives
        /// They may pass unjudged.
        case passes
    }

    /// The table, the chain, and what the rule does.
    package var text: String
    package var reach: Reach

    package init(text: String, reach: Reach) {
        self.text = text
        self.reach = reach
    }
}
