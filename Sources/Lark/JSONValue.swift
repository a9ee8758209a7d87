import CJansson

/// JSON from outside, read leniently: what is missing or of another type is `nil`, never an error.
///
/// `@unchecked Sendable`: nothing changes the document after it is parsed. What is called here only reads it, and
/// jansson counts references only where somebody asks it to; ours are counted by Swift, and the last one frees it.
package struct JSONValue: @unchecked Sendable {
    /// One parsed text; every value of it keeps it alive.
    private final class Document: @unchecked Sendable {
        let root: UnsafeMutablePointer<json_t>

        init(owning root: UnsafeMutablePointer<json_t>) {
            self.root = root
        }

        deinit {
            json_decref(root)
        }
    }

    private let document: Document
    /// Inside of `document`; `nil` where there is nothing, or null.
    private let node: UnsafeMutablePointer<json_t>?

    private init(_ document: Document, _ node: UnsafeMutablePointer<json_t>?) {
        self.document = document
        self.node = node.flatMap { lgw_json_type($0) == JSON_NULL ? nil : $0 }
    }

    /// `nil` when the bytes are no JSON even after repair. Invalid UTF-8, NUL and unpaired surrogates become U+FFFD.
    /// Nesting deeper than 2,048 is no JSON for us.
    package init?(parsing bytes: some Collection<UInt8>) {
        let parsed = bytes.withContiguousStorageIfAvailable { Self.parse($0) }
        guard let document = parsed ?? Array(bytes).withUnsafeBufferPointer({ Self.parse($0) }) else { return nil }
        self.init(document, document.root)
    }

    package init?(parsing text: String) {
        self.init(parsing: text.utf8)
    }

    private static func parse(_ bytes: UnsafeBufferPointer<UInt8>) -> Document? {
        if let document = load(bytes, lgw_json_decode_any) { return document }
        let repaired = JSONRepair.repair(bytes)
        return repaired.withUnsafeBufferPointer {
            // Integers beyond 64 bits are JSON too.
            load($0, lgw_json_decode_any | lgw_json_allow_nul)
                ?? load($0, lgw_json_decode_any | lgw_json_allow_nul | lgw_json_integers_as_reals)
        }
    }

    private static func load(_ bytes: UnsafeBufferPointer<UInt8>, _ flags: Int) -> Document? {
        bytes.withMemoryRebound(to: CChar.self) { json_loadb($0.baseAddress, $0.count, flags, nil) }
            .map(Document.init(owning:))
    }

    package subscript(_ key: String) -> JSONValue {
        JSONValue(document, node.flatMap { json_object_get($0, key) })
    }

    package var exists: Bool { node != nil }
    package var isObject: Bool { node.map { lgw_json_type($0) == JSON_OBJECT } ?? false }

    package var string: String? {
        guard let node, let start = json_string_value(node) else { return nil }
        let bytes = UnsafeRawBufferPointer(start: start, count: json_string_length(node))
        return String(decoding: bytes, as: UTF8.self)
    }

    /// A string of up to 256 bytes, such as an id, a name or a type: what is longer is none that we know. Words are
    /// compared and hashed; for Swift's strings that takes the square of combining marks in a row.
    package var word: String? {
        guard let node, json_string_length(node) <= Self.maxWordBytes else { return nil }
        return string
    }

    package static let maxWordBytes = 256

    package var boolean: Bool? {
        guard let node else { return nil }
        return switch lgw_json_type(node) {
        case JSON_TRUE: true
        case JSON_FALSE: false
        default: nil
        }
    }

    package var array: [JSONValue] {
        guard let node, lgw_json_type(node) == JSON_ARRAY else { return [] }
        return (0..<json_array_size(node)).map { JSONValue(document, json_array_get(node, $0)) }
    }

    /// Of an object, in the order of their bytes.
    package var keys: [String] {
        var keys: [String] = []
        var position = node.flatMap { json_object_iter($0) }
        while let current = position {
            keys.append(String(cString: json_object_iter_key(current)))
            position = json_object_iter_next(node, current)
        }
        return keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// A number, or a string of digits: the platform writes times as either.
    package var integer: Int? {
        guard let node else { return nil }
        return switch lgw_json_type(node) {
        case JSON_INTEGER: Int(json_integer_value(node))
        case JSON_REAL: Int(exactly: json_real_value(node).rounded(.towardZero))
        case JSON_STRING: string.flatMap { Int($0) }
        default: nil
        }
    }
}

/// Makes JSON text readable whose characters are broken.
enum JSONRepair {
    /// Invalid UTF-8, NUL, and `\uD800`-`\uDFFF` escapes without their partner become U+FFFD.
    static func repair(_ broken: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        let bytes = Array(String(decoding: broken, as: UTF8.self).utf8)
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            guard bytes[index] == UInt8(ascii: "\\"), index + 1 < bytes.count else {
                out.append(bytes[index])
                index += 1
                continue
            }
            guard let unit = escape(bytes, at: index), unit == 0 || (0xD800...0xDFFF).contains(unit) else {
                out += bytes[index...(index + 1)]
                index += 2
                continue
            }
            if (0xD800..<0xDC00).contains(unit), let low = escape(bytes, at: index + 6), (0xDC00...0xDFFF).contains(low)
            {
                out += bytes[index..<(index + 12)]
                index += 12
            } else {
                out += Array(#"\uFFFD"#.utf8)
                index += 6
            }
        }
        return out
    }

    /// The code unit of a `\uXXXX` that stands at `index`.
    private static func escape(_ bytes: [UInt8], at index: Int) -> UInt32? {
        guard index + 6 <= bytes.count, bytes[index] == UInt8(ascii: "\\"), bytes[index + 1] == UInt8(ascii: "u") else {
            return nil
        }
        return UInt32(String(decoding: bytes[(index + 2)..<(index + 6)], as: UTF8.self), radix: 16)
    }
}
