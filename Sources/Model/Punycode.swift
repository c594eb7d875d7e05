/// The encoder of RFC 3492, as far as an error message needs it: to show the A-label of what somebody wrote.
enum Punycode {
    /// The name with every label that is not ASCII as its A-label; nil when that needs a mapping this does not know.
    ///
    /// Lower-cases, and takes the other full stops of UTS 46 for dots. Combining marks, compatibility forms and
    /// anything that is not a letter or digit are left to a real IDNA tool.
    static func asciiName(_ text: String) -> String? {
        var labels: [[UnicodeScalar]] = [[]]
        for scalar in text.lowercased().unicodeScalars {
            switch scalar {
            case ".", "\u{3002}", "\u{ff0e}", "\u{ff61}": labels.append([])
            default:
                guard scalar.isASCII || isPlainLetter(scalar) else { return nil }
                labels[labels.count - 1].append(scalar)
            }
        }
        var names: [String] = []
        for label in labels {
            if label.allSatisfy(\.isASCII) {
                names.append(String(String.UnicodeScalarView(label)))
            } else {
                guard let encoded = encode(label) else { return nil }
                names.append("xn--" + encoded)
            }
        }
        return names.joined(separator: ".")
    }

    private static func isPlainLetter(_ scalar: UnicodeScalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .lowercaseLetter, .otherLetter:
            // Compatibility blocks: IDNA maps their letters to others before it encodes.
            !(0x2100...0x214f).contains(scalar.value) && !(0xf900...0xffff).contains(scalar.value)
                && !(0x1d400...0x1d7ff).contains(scalar.value)
        default:
            false
        }
    }

    /// RFC 3492 §6.3; nil when a label of 59 characters or less cannot hold it.
    private static func encode(_ label: [UnicodeScalar]) -> String? {
        guard label.count <= 59 else { return nil }
        var output = label.filter(\.isASCII).map { Character($0) }
        let basic = output.count
        if basic > 0 { output.append("-") }
        var (next, delta, bias, handled) = (UInt32(128), 0, 72, basic)
        while handled < label.count {
            guard let smallest = label.map(\.value).filter({ $0 >= next }).min() else { return nil }
            delta += Int(smallest - next) * (handled + 1)
            next = smallest
            for scalar in label {
                if scalar.value < next { delta += 1 }
                guard scalar.value == next else { continue }
                append(delta, bias: bias, to: &output)
                bias = adapt(delta, count: handled + 1, isFirst: handled == basic)
                delta = 0
                handled += 1
            }
            delta += 1
            next += 1
        }
        return String(output)
    }

    private static func append(_ value: Int, bias: Int, to output: inout [Character]) {
        let digits = Array("abcdefghijklmnopqrstuvwxyz0123456789")
        var (rest, base) = (value, 36)
        while true {
            let threshold = base <= bias ? 1 : base >= bias + 26 ? 26 : base - bias
            guard rest >= threshold else { break }
            output.append(digits[threshold + (rest - threshold) % (36 - threshold)])
            rest = (rest - threshold) / (36 - threshold)
            base += 36
        }
        output.append(digits[rest])
    }

    /// RFC 3492 §6.1.
    private static func adapt(_ value: Int, count: Int, isFirst: Bool) -> Int {
        var delta = isFirst ? value / 700 : value / 2
        delta += delta / count
        var steps = 0
        while delta > 455 {
            delta /= 35
            steps += 36
        }
        return steps + 36 * delta / (delta + 38)
    }
}
