internal import System

/// As the one of the standard library, in whose place it is found here: that one does not tell of what it cannot write.
func print(_ value: some CustomStringConvertible, terminator: String = "\n") {
    StandardOutput.write(value.description + terminator)
}
