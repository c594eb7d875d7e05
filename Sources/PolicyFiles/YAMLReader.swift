import CYAML
import Model

/// Reads one YAML document into nodes.
///
/// A small YAML on purpose: one document, no anchors, aliases or tags, keys that are text, at most 1 MiB and 16 levels.
/// So a file means what it looks like, and its size bounds the work.
@safe struct YAMLReader: ~Copyable {
    /// The largest file that is read.
    static let sizeLimit = 1 << 20
    private static let depthLimit = 16

    private let file: String
    private let parser: UnsafeMutablePointer<yaml_parser_t>

    /// Reads the document; throws the first thing that makes it unreadable.
    ///
    /// One without content is a mapping without keys where every key may be left out, and an error elsewhere.
    static func read(_ bytes: [UInt8], file: String, mayBeEmpty: Bool = false) throws(PolicyFileError) -> YAMLNode {
        guard bytes.count <= sizeLimit else {
            throw PolicyFileError(file: file, message: "the file has more than 1 MiB; split it")
        }
        try checkText(bytes, file: file)
        return try unsafe bytes.withUnsafeBufferPointer { (buffer) throws(PolicyFileError) in
            try unsafe YAMLReader(buffer, file: file).document(mayBeEmpty: mayBeEmpty)
        }
    }

    /// The buffer must outlive the reader.
    private init(_ buffer: UnsafeBufferPointer<UInt8>, file: String) throws(PolicyFileError) {
        self.file = file
        unsafe self.parser = .allocate(capacity: 1)
        guard unsafe yaml_parser_initialize(parser) == 1 else {
            unsafe parser.deallocate()
            throw PolicyFileError(file: file, message: "there is no memory to read it")
        }
        unsafe yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        unsafe yaml_parser_set_input_string(parser, buffer.baseAddress, buffer.count)
    }

    deinit {
        unsafe yaml_parser_delete(parser)
        unsafe parser.deallocate()
    }

    private borrowing func document(mayBeEmpty: Bool) throws(PolicyFileError) -> YAMLNode {
        // The stream's beginning, then the document's.
        _ = try next()
        let begin = try next()
        guard begin.type == YAML_DOCUMENT_START_EVENT else {
            if mayBeEmpty { return YAMLNode(mark: begin.mark, content: .mapping([])) }
            throw PolicyFileError(file: file, message: "the file is empty; write at least its required keys")
        }
        let root = try node(try next(), depth: 1)
        _ = try next()
        let end = try next()
        guard end.type == YAML_STREAM_END_EVENT else {
            throw error(end.mark, "a second document begins here; write one file for each")
        }
        return mayBeEmpty && root.isNull ? YAMLNode(mark: root.mark, content: .mapping([])) : root
    }

    private borrowing func node(_ event: Event, depth: Int) throws(PolicyFileError) -> YAMLNode {
        guard depth <= Self.depthLimit else {
            throw error(event.mark, "nested deeper than \(Self.depthLimit) levels; no key needs that")
        }
        if event.isAlias {
            throw error(event.mark, "aliases are not read here; write the value out, or quote it if it is text")
        }
        if event.hasAnchor {
            throw error(event.mark, "anchors are not read here; write the value out where it is used")
        }
        if event.hasTag { throw error(event.mark, "tags are not read here; remove it, or quote it if it is text") }
        switch event.type {
        case YAML_SEQUENCE_START_EVENT:
            var items: [YAMLNode] = []
            while case let item = try next(), item.type != YAML_SEQUENCE_END_EVENT {
                items.append(try node(item, depth: depth + 1))
            }
            return YAMLNode(mark: event.mark, content: .sequence(items))
        case YAML_MAPPING_START_EVENT:
            var members: [(key: YAMLNode, value: YAMLNode)] = []
            while case let item = try next(), item.type != YAML_MAPPING_END_EVENT {
                let key = try node(item, depth: depth + 1)
                members.append((key, try node(try next(), depth: depth + 1)))
            }
            return YAMLNode(mark: event.mark, content: .mapping(members))
        default:
            return YAMLNode(mark: event.mark, content: .scalar(event.text, isPlain: event.isPlain))
        }
    }

    /// What is needed of a libyaml event, copied out of it.
    private struct Event {
        let type: yaml_event_type_t
        let mark: Mark
        var text = ""
        var isPlain = false
        var hasAnchor = false
        var hasTag = false

        var isAlias: Bool { type == YAML_ALIAS_EVENT }
    }

    private borrowing func next() throws(PolicyFileError) -> Event {
        var raw = unsafe yaml_event_t()
        guard unsafe yaml_parser_parse(parser, &raw) == 1 else { throw unsafe problem(parser.pointee) }
        defer { unsafe yaml_event_delete(&raw) }
        var event = unsafe Event(type: raw.type, mark: Mark(raw.start_mark))
        switch event.type {
        case YAML_SCALAR_EVENT:
            let scalar = unsafe raw.data.scalar
            let bytes = unsafe UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            event.text = unsafe String(decoding: bytes, as: UTF8.self)
            event.isPlain = unsafe scalar.style == YAML_PLAIN_SCALAR_STYLE
            event.hasAnchor = unsafe scalar.anchor != nil
            event.hasTag = unsafe scalar.tag != nil
        case YAML_SEQUENCE_START_EVENT:
            event.hasAnchor = unsafe raw.data.sequence_start.anchor != nil
            event.hasTag = unsafe raw.data.sequence_start.tag != nil
        case YAML_MAPPING_START_EVENT:
            event.hasAnchor = unsafe raw.data.mapping_start.anchor != nil
            event.hasTag = unsafe raw.data.mapping_start.tag != nil
        default:
            break
        }
        return event
    }

    private borrowing func problem(_ parser: yaml_parser_t) -> PolicyFileError {
        let text = unsafe parser.problem.map { unsafe String(cString: $0) } ?? "it cannot be read"
        let context = unsafe parser.context.map { unsafe String(cString: $0) } ?? ""
        if context.contains("alias") {
            let mark = unsafe Mark(parser.context_mark)
            return error(mark, "text that begins with '*' must be quoted; write it like \"*.example.org\"")
        }
        let mark = unsafe Mark(parser.problem_mark)
        let mend =
            text.contains("cannot start any token") ? "; indent with spaces, and quote text that begins oddly" : ""
        return error(mark, "not YAML: \(context.isEmpty ? "" : context + ", ")\(text)\(mend)")
    }

    private borrowing func error(_ mark: Mark, _ message: String) -> PolicyFileError {
        PolicyFileError(file: file, line: Int(mark.line), column: Int(mark.column), message: message)
    }

    /// Refuses what is not UTF-8 text, with the place where it stops being that.
    private static func checkText(_ bytes: [UInt8], file: String) throws(PolicyFileError) {
        var (line, column) = (1, 1)
        var decoder = UTF8()
        var iterator = bytes.makeIterator()
        while true {
            switch decoder.decode(&iterator) {
            case .emptyInput:
                return
            case .error:
                throw PolicyFileError(
                    file: file,
                    line: line,
                    column: column,
                    message: "not UTF-8; save the file as UTF-8",
                )
            case .scalarValue("\n"):
                (line, column) = (line + 1, 1)
            case .scalarValue(let scalar):
                // C0, DEL and C1: the control characters of Unicode.
                let isControl = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
                if isControl, scalar != "\t", scalar != "\r" {
                    let shown = TextError.quote(String(scalar))
                    throw PolicyFileError(
                        file: file,
                        line: line,
                        column: column,
                        message: "control character \(shown); remove it",
                    )
                }
                column += 1
            }
        }
    }
}

extension Mark {
    fileprivate init(_ mark: yaml_mark_t) {
        self.init(line: UInt32(clamping: mark.line + 1), column: UInt32(clamping: mark.column + 1))
    }
}
