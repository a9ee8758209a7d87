/// Where a text stops being JSON (RFC 8259), and what was expected there. JSONSerialization says so in characters from
/// the beginning, if at all.
///
/// A comma before a closing bracket is let pass, as JSONSerialization does. One pass, without recursion; nothing of the
/// text is repeated.
struct JSONSyntax {
    struct Fault: Equatable {
        /// Of a byte; at the end of the text its length.
        let offset: Int
        let problem: String
    }

    private enum Expectation { case value, key, colon, next, end }

    private static let quote = UInt8(ascii: "\"")
    private static let closingBrace = UInt8(ascii: "}")
    private static let closingBracket = UInt8(ascii: "]")

    private let bytes: [UInt8]
    private var position = 0
    private var expectation = Expectation.value
    /// What closes each object and array that is open.
    private var closers: [UInt8] = []

    private init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// - Returns: nil: it is JSON, as far as can be seen here.
    static func fault(in bytes: [UInt8]) -> Fault? {
        var syntax = JSONSyntax(bytes)
        return syntax.fault()
    }

    private mutating func fault() -> Fault? {
        while true {
            while position < bytes.count, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[position]) { position += 1 }
            guard position < bytes.count else { return faultAtEnd }
            if let fault = comment ?? step(bytes[position]) { return fault }
        }
    }

    private var faultAtEnd: Fault? {
        guard let closer = closers.last else {
            return expectation == .end ? nil : Fault(offset: position, problem: "the file is empty")
        }
        let missing =
            closers.count == 1
            ? "a closing \(Self.sign(closer)) is missing" : "\(closers.count) brackets are not closed"
        return Fault(offset: position, problem: "the file ends here, and \(missing)")
    }

    private var comment: Fault? {
        let isComment =
            bytes[position] == UInt8(ascii: "#")
            || bytes[position] == UInt8(ascii: "/") && position + 1 < bytes.count
                && "/*".utf8.contains(bytes[position + 1])
        return isComment ? Fault(offset: position, problem: "found a comment, which JSON does not have") : nil
    }

    private mutating func step(_ byte: UInt8) -> Fault? {
        switch expectation {
        case .value: return value(byte)
        case .key:
            if byte == Self.closingBrace { return close() }
            guard byte == Self.quote else { return expected("a key in double quotes, or }") }
            expectation = .colon
            return string()
        case .colon:
            guard byte == UInt8(ascii: ":") else { return expected("a colon between the key and its value") }
            expectation = .value
        case .next:
            guard let closer = closers.last else { return nil }
            if byte == closer { return close() }
            guard byte == UInt8(ascii: ",") else { return expected("a comma or \(Self.sign(closer))") }
            expectation = closer == Self.closingBrace ? .key : .value
        case .end: return expected("the end of the file")
        }
        position += 1
        return nil
    }

    private mutating func value(_ byte: UInt8) -> Fault? {
        switch byte {
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            closers.append(byte == UInt8(ascii: "{") ? Self.closingBrace : Self.closingBracket)
            expectation = byte == UInt8(ascii: "{") ? .key : .value
            position += 1
            return nil
        case Self.closingBracket where closers.last == Self.closingBracket: return close()
        case Self.quote:
            endValue()
            return string()
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            endValue()
            return number()
        case UInt8(ascii: "'"): return Fault(offset: position, problem: "found ', expected a text in double quotes")
        default:
            endValue()
            return word()
        }
    }

    private mutating func endValue() {
        expectation = closers.isEmpty ? .end : .next
    }

    private mutating func close() -> Fault? {
        closers.removeLast()
        position += 1
        endValue()
        return nil
    }

    private mutating func string() -> Fault? {
        let start = position
        position += 1
        while position < bytes.count {
            switch bytes[position] {
            case Self.quote:
                position += 1
                return nil
            case UInt8(ascii: "\\"):
                if let fault = escape() { return fault }
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"):
                return Fault(offset: start, problem: "the text that begins here has no closing quote on its line")
            case ..<0x20:
                return Fault(offset: position, problem: "found a control character in a text, expected \\t or \\u....")
            default: position += 1
            }
        }
        return Fault(offset: start, problem: "the text that begins here has no closing quote")
    }

    private mutating func escape() -> Fault? {
        let start = position
        guard position + 1 < bytes.count, "\"\\/bfnrtu".utf8.contains(bytes[position + 1]) else {
            return Fault(offset: start, problem: "found a \\ that escapes nothing, expected \\\\")
        }
        let isUnicode = bytes[position + 1] == UInt8(ascii: "u")
        position += 2
        guard isUnicode else { return nil }
        guard let unit = hexadecimal(at: position) else {
            return Fault(offset: start, problem: "expected four hexadecimal digits behind \\u")
        }
        position += 4
        guard (0xD800...0xDFFF).contains(unit) else { return nil }
        guard unit < 0xDC00, position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
            bytes[position + 1] == UInt8(ascii: "u"), let other = hexadecimal(at: position + 2),
            (0xDC00...0xDFFF).contains(other)
        else { return Fault(offset: start, problem: "found half of a surrogate pair") }
        position += 6
        return nil
    }

    private func hexadecimal(at offset: Int) -> Int? {
        guard offset + 4 <= bytes.count else { return nil }
        let digits = bytes[offset..<(offset + 4)]
        guard digits.allSatisfy({ UnicodeScalar($0).properties.isASCIIHexDigit }) else { return nil }
        return Int(String(decoding: digits, as: UTF8.self), radix: 16)
    }

    private mutating func number() -> Fault? {
        let start = position
        if bytes[position] == UInt8(ascii: "-") { position += 1 }
        let whole = digits()
        var isGood = whole == 1 || whole > 1 && bytes[position - whole] != UInt8(ascii: "0")
        if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
            position += 1
            isGood = digits() > 0 && isGood
        }
        if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
            position += 1
            if position < bytes.count, "+-".utf8.contains(bytes[position]) { position += 1 }
            isGood = digits() > 0 && isGood
        }
        return isGood ? nil : Fault(offset: start, problem: "found a number that is none of JSON")
    }

    private mutating func digits() -> Int {
        let start = position
        while position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) {
            position += 1
        }
        return position - start
    }

    private mutating func word() -> Fault? {
        for word in ["true", "false", "null"] where bytes[position...].starts(with: word.utf8) {
            position += word.utf8.count
            return nil
        }
        return expected("a value: a text in double quotes, a number, true, false, null, [ or {")
    }

    private func expected(_ words: String) -> Fault { Fault(offset: position, problem: "expected \(words)") }

    private static func sign(_ byte: UInt8) -> String { String(UnicodeScalar(byte)) }
}
