extension String {
    /// The text with nothing in it that a terminal would act on: control and format characters as `\u{1b}`.
    package var oneLine: String {
        unicodeScalars.map { scalar in
            scalar.value < 32 || (127..<160).contains(scalar.value) || scalar.properties.generalCategory == .format
                ? "\\u{\(String(scalar.value, radix: 16))}" : String(scalar)
        }.joined()
    }
}
