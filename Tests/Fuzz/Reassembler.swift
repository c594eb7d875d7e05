// fuzz: Model Wire Inspection ../InspectionTests/StreamScript.swift -max_len=260

/// libFuzzer's entry: plays the bytes as segments, and stops where the reassembler and the model of the tests differ.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let script = Array(UnsafeBufferPointer(start: start, count: count))
    if let flaw = StreamScript.play(script).flaw { preconditionFailure(flaw) }
    return 0
}
