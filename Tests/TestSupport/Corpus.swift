/// The files that the fuzzers keep, which the tests read again, and what real clients sent.
package enum Corpus {
    /// The files of a fuzzing corpus, in the order of their names.
    package static func files(of corpus: String) -> [(name: String, bytes: [UInt8])] {
        files(in: "Fuzz/corpus/\(corpus)")
    }

    /// One file of a fuzzing corpus; nil when there is none.
    package static func file(_ name: String, of corpus: String) -> [UInt8]? {
        Files.read("\(Files.tests)/Fuzz/corpus/\(corpus)/\(name)")
    }

    /// The files in a folder below `Tests`, in the order of their names.
    package static func files(in folder: String) -> [(name: String, bytes: [UInt8])] {
        let folder = "\(Files.tests)/\(folder)"
        return Files.names(in: folder).compactMap { name in Files.read("\(folder)/\(name)").map { (name, $0) } }
    }
}
