package import Policy

extension Boxes {
    /// How many boxes one workload may have: the kernel copies a map at every change to it.
    package static let budget = 4096

    /// A rule's part in a workload's boxes.
    package struct Share: Hashable, Sendable {
        /// The rule's name.
        package let rule: String
        /// How many boxes the rule would have if it stood alone with the workload's denies.
        package let boxes: Int
    }

    /// The rules that break a workload's budget: the costliest first, as few as leave the rest within it; empty when all fit.
    ///
    /// Denies cost boxes by cutting allows up, so the cost of a rule counts them in.
    package static func overBudget(of workload: Workload, budget: Int = budget) -> [Share] {
        guard outbound(of: workload).count > budget else { return [] }
        let denies = outboundDenies(of: workload)
        var rules = workload.mappable
            .map { (rule: $0, boxes: cut(allow: boxes(of: $0), deny: denies).count) }
            .sorted { ($0.boxes, $0.rule.name) > ($1.boxes, $1.rule.name) }
        var shares: [Share] = []
        repeat {
            let costliest = rules.removeFirst()
            shares.append(Share(rule: costliest.rule.name, boxes: costliest.boxes))
        } while !rules.isEmpty && cut(allow: rules.flatMap { boxes(of: $0.rule) }, deny: denies).count > budget
        return shares
    }
}
