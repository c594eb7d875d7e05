import Model

/// Two lower-case digits for each byte.
func hex(_ bytes: some Sequence<UInt8>) -> JSON {
    let digits = Array("0123456789abcdef".utf8)
    return .string(String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self))
}

/// A number.
func number(_ value: some FixedWidthInteger) -> JSON { .integer(Int64(clamping: value)) }
