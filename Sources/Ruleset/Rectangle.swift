/// A closed rectangle over two axes of unsigned numbers.
struct Rectangle: Hashable {
    var first: ClosedRange<UInt128>
    var second: ClosedRange<UInt128>

    /// The same with its axes exchanged.
    var turned: Rectangle { Rectangle(first: second, second: first) }
}
