import Foundation
import Output

/// JSON to be printed: the members of an object keep their order.
package indirect enum OrderedJSON: Sendable {
    case null
    case boolean(Bool)
    case integer(Int)
    /// In seconds, to the millisecond.
    case duration(Duration)
    case string(String)
    case array([OrderedJSON])
    case object([(key: String, value: OrderedJSON)])

    /// Two spaces a level, and an array of scalars on one line; ends with a newline.
    package var text: String { text(indent: "") + "\n" }

    /// On one line.
    var line: String {
        switch self {
        case .null: "null"
        case .boolean(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .duration(let value): Self.seconds(value)
        case .string(let value): Self.quote(value)
        case .array(let elements): "[" + elements.map(\.line).joined(separator: ", ") + "]"
        case .object(let members):
            "{" + members.map { "\(Self.quote($0.key)): \($0.value.line)" }.joined(separator: ", ") + "}"
        }
    }

    /// It itself, or those of a list.
    var strings: [String] {
        switch self {
        case .string(let text): [text]
        case .array(let elements): elements.flatMap(\.strings)
        case .null, .boolean, .integer, .duration, .object: []
        }
    }

    private var isScalar: Bool {
        switch self {
        case .null, .boolean, .integer, .duration, .string: true
        case .array, .object: false
        }
    }

    private func text(indent: String) -> String {
        let inner = indent + "  "
        switch self {
        case .null, .boolean, .integer, .duration, .string: return line
        case .array(let elements):
            guard !elements.allSatisfy(\.isScalar) else { return line }
            let lines = elements.map { inner + $0.text(indent: inner) }
            return "[\n" + lines.joined(separator: ",\n") + "\n\(indent)]"
        case .object(let members):
            guard !members.isEmpty else { return "{}" }
            let lines = members.map { "\(inner)\(Self.quote($0.key)): \($0.value.text(indent: inner))" }
            return "{\n" + lines.joined(separator: ",\n") + "\n\(indent)}"
        }
    }

    private static func seconds(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let thousandths = attoseconds / 1_000_000_000_000_000
        let sign = seconds < 0 || thousandths < 0 ? "-" : ""
        let digits = String(thousandths.magnitude)
        return "\(sign)\(seconds.magnitude).\(String(repeating: "0", count: 3 - digits.count))\(digits)"
    }

    /// No hidden character of it reaches a terminal: JSON escapes those below U+0020, the others are escaped here.
    private static func quote(_ text: String) -> String {
        let options: JSONSerialization.WritingOptions = [.fragmentsAllowed, .withoutEscapingSlashes]
        let data = (try? JSONSerialization.data(withJSONObject: text, options: options)) ?? Data("\"\"".utf8)
        return String(decoding: data, as: UTF8.self).unicodeScalars.reduce(into: "") { quoted, scalar in
            if HiddenCharacters.contains(scalar) {
                quoted += HiddenCharacters.escaped(scalar)
            } else {
                quoted.unicodeScalars.append(scalar)
            }
        }
    }
}

extension OrderedJSON: ExpressibleByStringLiteral, ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral {
    package init(stringLiteral value: String) { self = .string(value) }

    package init(dictionaryLiteral elements: (String, OrderedJSON)...) {
        self = .object(elements.map { (key: $0.0, value: $0.1) })
    }

    package init(arrayLiteral elements: OrderedJSON...) { self = .array(elements) }
}

/// What is not there is null.
extension OrderedJSON {
    package init(_ text: String?) { self = text.map { .string($0) } ?? .null }
    package init(_ duration: Duration?) { self = duration.map { .duration($0) } ?? .null }
}
