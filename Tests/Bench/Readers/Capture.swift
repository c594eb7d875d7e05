import Glibc

/// A file of the fuzzers' corpus, `tls/curl`; the program ends when it is not there.
func capture(_ name: String) -> [UInt8] {
    let tests = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    guard let file = unsafe fopen("/\(tests)/Fuzz/corpus/\(name)", "r") else { fatalError("no capture \(name)") }
    defer { unsafe fclose(file) }
    return unsafe [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
        unsafe count = fread(buffer.baseAddress, 1, buffer.count, file)
    }
}
