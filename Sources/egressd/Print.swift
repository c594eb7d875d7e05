internal import System

/// Hides the standard library's `print` in this target: that one does not tell of what it cannot write.
func print(_ value: some CustomStringConvertible, terminator: String = "\n") {
    StandardOutput.write(value.description + terminator)
}
