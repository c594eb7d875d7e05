extension JSON {
    /// The object of the members that are there: a nil value leaves its key out.
    package init(present members: KeyValuePairs<String, JSON?>) {
        var kept: [(key: String, value: JSON)] = []
        kept.reserveCapacity(members.count)
        for (key, value) in members {
            if let value { kept.append((key, value)) }
        }
        self = .object(kept)
    }

    /// The text as a value; nil stays nil.
    package init?(_ text: String?) {
        guard let text else { return nil }
        self = .string(text)
    }

    /// The number as a value, the nearest that Int64 holds; nil stays nil.
    package init?<Number: BinaryInteger>(_ number: Number?) {
        guard let number else { return nil }
        self = .integer(Int64(clamping: number))
    }

    /// The texts as an array.
    package init(_ texts: [String]) { self = .array(texts.map { .string($0) }) }

    /// The texts as an object, sorted by key so that equal dictionaries have one text.
    package init(_ texts: [String: String]) {
        self = .object(texts.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })
    }

    /// The member of an object; nil when this is no object or has no such member.
    package subscript(_ key: String) -> JSON? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key == key }?.value
    }

    /// The text, when this is a string.
    package var string: String? {
        if case .string(let value) = self { value } else { nil }
    }

    /// The value, when this is an integer.
    package var integer: Int64? {
        if case .integer(let value) = self { value } else { nil }
    }

    /// The value, when this is a boolean.
    package var bool: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    /// The elements, when this is an array.
    package var array: [JSON]? {
        if case .array(let values) = self { values } else { nil }
    }

    /// The members in their order, when this is an object.
    package var object: [(key: String, value: JSON)]? {
        if case .object(let members) = self { members } else { nil }
    }

    /// Whether this is `null`.
    package var isNull: Bool {
        if case .null = self { true } else { false }
    }
}

extension JSON: ExpressibleByStringInterpolation {
    package init(stringLiteral value: String) { self = .string(value) }
}

extension JSON: ExpressibleByIntegerLiteral {
    package init(integerLiteral value: Int64) { self = .integer(value) }
}

extension JSON: ExpressibleByFloatLiteral {
    package init(floatLiteral value: Double) { self = .number(value) }
}

extension JSON: ExpressibleByBooleanLiteral {
    package init(booleanLiteral value: Bool) { self = .bool(value) }
}

extension JSON: ExpressibleByArrayLiteral {
    package init(arrayLiteral elements: JSON...) { self = .array(elements) }
}

extension JSON: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral elements: (String, JSON)...) {
        self = .object(elements.map { (key: $0.0, value: $0.1) })
    }
}
