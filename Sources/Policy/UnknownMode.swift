package import Model

/// What becomes of a request that no rule covers.
package enum UnknownMode: Hashable, Sendable {
    case deny
    /// It waits this long for an operator, then it is denied.
    case hold(Instant.Span)
    /// It passes, and is recorded as what would have been denied.
    case observe
}

extension UnknownMode {
    /// Reads `deny`, `observe`, or `hold` with a time from 1s to 1h: `hold 30s`, `hold 5m`.
    package init(_ text: String) throws(TextError) {
        switch text {
        case "deny": self = .deny
        case "observe": self = .observe
        case "hold": throw TextError("'hold' needs a time; write 'hold 30s'")
        default:
            let parts = text.split(separator: " ")
            guard parts.count == 2, parts[0] == "hold" else {
                throw TextError("\(TextError.quote(text)) is no mode; write deny, hold 30s or observe")
            }
            self = .hold(try Self.span(String(parts[1])))
        }
    }

    private static func span(_ text: String) throws(TextError) -> Instant.Span {
        let units: [UInt8: Int64] = [UInt8(ascii: "s"): 1, UInt8(ascii: "m"): 60, UInt8(ascii: "h"): 3600]
        let digits = text.utf8.dropLast()
        guard let unit = text.utf8.last.flatMap({ units[$0] }), (1...4).contains(digits.count),
            digits.allSatisfy({ (0x30...0x39).contains($0) }),
            let count = Int64(String(decoding: digits, as: UTF8.self)),
            (1...3600).contains(count * unit)
        else {
            throw TextError("\(TextError.quote(text)) is no time to hold; write 1s to 1h, like 30s or 5m")
        }
        return .seconds(count * unit)
    }
}

extension UnknownMode: CustomStringConvertible {
    /// As it is written in a policy file.
    package var description: String {
        switch self {
        case .deny: "deny"
        case .observe: "observe"
        case .hold(let span):
            switch span.nanoseconds / 1_000_000_000 {
            case let seconds where seconds % 3600 == 0: "hold \(seconds / 3600)h"
            case let seconds where seconds % 60 == 0: "hold \(seconds / 60)m"
            case let seconds: "hold \(seconds)s"
            }
        }
    }
}
