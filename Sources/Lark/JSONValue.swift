import Foundation

/// JSON from outside, read leniently: what is missing or of another type is `nil`, never an error.
package struct JSONValue {
    private let raw: Any?

    private init(_ raw: Any?) {
        self.raw = raw is NSNull ? nil : raw
    }

    /// `nil` when the bytes are no JSON even after repair. Invalid UTF-8 and unpaired surrogates become U+FFFD.
    package init?(parsing bytes: some Collection<UInt8>) {
        let data = Data(bytes)
        if let raw = try? JSONSerialization.jsonObject(with: data, options: .fragmentsAllowed) {
            self.init(raw)
            return
        }
        let repaired = JSONRepair.repair(data)
        guard let raw = try? JSONSerialization.jsonObject(with: repaired, options: .fragmentsAllowed) else {
            return nil
        }
        self.init(raw)
    }

    package init?(parsing text: String) {
        self.init(parsing: Array(text.utf8))
    }

    package subscript(_ key: String) -> JSONValue {
        JSONValue((raw as? [String: Any])?[key])
    }

    package var exists: Bool { raw != nil }
    package var isObject: Bool { raw is [String: Any] }
    package var string: String? { raw as? String }
    package var boolean: Bool? { raw as? Bool }
    package var array: [JSONValue] { (raw as? [Any])?.map { JSONValue($0) } ?? [] }
    package var keys: [String] { (raw as? [String: Any])?.keys.sorted() ?? [] }

    /// A number, or a string of digits: the platform writes times as either.
    package var integer: Int? {
        if let text = raw as? String { return Int(text) }
        guard let number = raw as? NSNumber else { return nil }
        return Int(exactly: number.doubleValue.rounded(.towardZero))
    }
}

/// Makes JSON text readable whose characters are broken.
enum JSONRepair {
    /// Invalid UTF-8 and `\uD800`-`\uDFFF` escapes without their partner become U+FFFD.
    static func repair(_ data: Data) -> Data {
        let bytes = Array(String(decoding: data, as: UTF8.self).utf8)
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            guard bytes[index] == UInt8(ascii: "\\"), index + 1 < bytes.count else {
                out.append(bytes[index])
                index += 1
                continue
            }
            guard let unit = escape(bytes, at: index), (0xD800...0xDFFF).contains(unit) else {
                out += bytes[index...(index + 1)]
                index += 2
                continue
            }
            if unit < 0xDC00, let low = escape(bytes, at: index + 6), (0xDC00...0xDFFF).contains(low) {
                out += bytes[index..<(index + 12)]
                index += 12
            } else {
                out += Array(#"\uFFFD"#.utf8)
                index += 6
            }
        }
        return Data(out)
    }

    /// The code unit of a `\uXXXX` that stands at `index`.
    private static func escape(_ bytes: [UInt8], at index: Int) -> UInt32? {
        guard index + 6 <= bytes.count, bytes[index] == UInt8(ascii: "\\"), bytes[index + 1] == UInt8(ascii: "u") else {
            return nil
        }
        return UInt32(String(decoding: bytes[(index + 2)..<(index + 6)], as: UTF8.self), radix: 16)
    }
}
