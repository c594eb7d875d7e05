/// Why bytes are no HTTP request, or none that may be allowed.
package enum HTTPError: Error, Hashable, Sendable {
    /// The method is no token (RFC 9110 §5.6.2) of at most 32 characters with one blank behind it, or is lost in HTTP/2.
    case method
    /// The target has odd bytes, or is neither a path nor what its method asks for.
    case target
    /// Neither HTTP/1.0 nor HTTP/1.1.
    case version
    /// A line feed or carriage return alone (RFC 9112 §2.2).
    case lineEnd
    /// A line that goes on in the next (RFC 9112 §5.2).
    case fold
    /// The name of a field is no token right before its colon; in HTTP/2 also one with upper case.
    case fieldName
    /// A control character in a field's value; in HTTP/2 also a blank around it.
    case fieldValue
    /// More than 128 fields.
    case tooManyFields
    /// The head does not end within 16 KiB.
    case tooLong
    /// No `Host`, where there must be one.
    case hostMissing
    /// Several `Host` fields.
    case hostCount
    /// `:authority` and `host` are two servers (RFC 9113 §8.3.1).
    case hostsDiffer
    /// `Content-Length` is no number, several numbers, or stands beside `Transfer-Encoding` (RFC 9112 §6.3).
    case contentLength
    /// `Transfer-Encoding` is something else than `chunked`, or stands where it may not.
    case transferEncoding
    /// It asks to become another protocol than WebSocket, which is this, as an excerpt.
    case upgrade(String)
    /// HTTP/2: a frame of a wrong size, type or stream before the first request (RFC 9113 §3.4, §6).
    case frame
    /// HTTP/2: a pseudo-field that is unknown, missing, there twice or behind a field (RFC 9113 §8.3).
    case pseudoField
    /// HTTP/2: a field that only HTTP/1 has (RFC 9113 §8.2.2).
    case connectionField
    /// HTTP/2: the fields cannot be decompressed.
    case compression(HPACKError)
}

extension HTTPError: CustomStringConvertible {
    /// A sentence without its full stop.
    package var description: String {
        switch self {
        case .method: "an HTTP method that is no token"
        case .target: "an HTTP target that is no path"
        case .version: "an HTTP version other than 1.0 and 1.1"
        case .lineEnd: "an HTTP line that does not end in CR LF"
        case .fold: "an HTTP field over several lines"
        case .fieldName: "an HTTP field name that is no token"
        case .fieldValue: "an HTTP field value with control characters"
        case .tooManyFields: "more than \(HTTPRequestHead.fieldLimit) HTTP fields"
        case .tooLong: "an HTTP head of more than \(HTTPRequestHead.limit) bytes"
        case .hostMissing: "HTTP without a host"
        case .hostCount: "several HTTP hosts"
        case .hostsDiffer: "two different HTTP hosts"
        case .contentLength: "HTTP content of more than one length"
        case .transferEncoding: "an HTTP transfer encoding other than chunked"
        case .upgrade(let wanted): "HTTP that is to become '\(wanted)'"
        case .frame: "an HTTP/2 frame that may not be there"
        case .pseudoField: "HTTP/2 pseudo-fields that do not fit"
        case .connectionField: "a field in HTTP/2 that only HTTP/1 has"
        case .compression(let error): error.description
        }
    }
}
