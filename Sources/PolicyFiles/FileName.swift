import Model

/// The name of a file in a folder: its bytes count, whereas `String` takes canonically equivalent texts for equal.
struct FileName: Hashable {
    let text: String

    init(_ text: String) { self.text = text }

    static func == (left: FileName, right: FileName) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

    func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { unsafe hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }

    /// Whether the folder's rules read it as a policy or refuse it as one: any other name may come and go.
    var matters: Bool {
        text.utf8.first != UInt8(ascii: ".") && ["yaml", "yml"].contains(ending.lowercased())
    }

    /// What follows the last dot; empty without one.
    var ending: String {
        guard let dot = text.utf8.lastIndex(of: UInt8(ascii: ".")) else { return "" }
        return String(text[text.utf8.index(after: dot)...])
    }

    /// What to do about an ending that is nearly the one of policies; nil for any other.
    var mendOfEnding: String? {
        guard ["yaml", "yml"].contains(ending.lowercased()) else { return nil }
        let stem = String(decoding: text.utf8.dropLast(ending.utf8.count), as: UTF8.self)
        return "only files that end in .yaml are read; rename it to \(TextError.quote(stem + "yaml"))"
    }
}
