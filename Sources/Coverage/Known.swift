/// What was found out, or why it could not be.
package enum Known<Value: Sendable>: Sendable {
    case known(Value)
    /// Half a sentence: "not permitted: run as root".
    case unknown(String)

    /// What was found out.
    package var value: Value? {
        if case .known(let value) = self { value } else { nil }
    }

    /// Why nothing was found out.
    package var reason: String? {
        if case .unknown(let why) = self { why } else { nil }
    }

    /// The same, seen otherwise.
    package func map<Other: Sendable>(_ body: (Value) -> Other) -> Known<Other> {
        switch self {
        case .known(let value): .known(body(value))
        case .unknown(let why): .unknown(why)
        }
    }
}

extension Known: Equatable where Value: Equatable {}
extension Known: Hashable where Value: Hashable {}
