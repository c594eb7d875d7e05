extension Check {
    /// A check of something that may be unknown.
    init<Value>(_ id: String, _ title: String, _ fact: Known<Value>, bypass: Int? = nil, _ judge: (Value) -> Judgement)
    {
        switch fact {
        case .unknown(let why):
            self.init(id, title, .unknown, why, bypass: bypass)
        case .known(let value):
            let judgement = judge(value)
            self.init(
                id,
                title,
                judgement.state,
                judgement.detail,
                consequence: judgement.consequence,
                mend: judgement.mend,
                bypass: bypass,
            )
        }
    }

    /// What a check says of a fact.
    struct Judgement {
        var state: State
        var detail: String
        var consequence: String?
        var mend: String?

        init(_ state: State, _ detail: String, _ consequence: String? = nil, mend: String? = nil) {
            self.state = state
            self.detail = detail
            self.consequence = consequence
            self.mend = mend
        }
    }
}
