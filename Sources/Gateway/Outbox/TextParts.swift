import Foundation

/// Cuts a long text where it hurts least: between paragraphs, else lines, else words, else characters.
enum TextParts {
    /// - Parameter maxBytes: of each part, as JSON in a string of JSON, as the platform counts it.
    static func split(_ text: String, maxBytes: Int) -> [String] {
        var parts: [String] = []
        var rest = Substring(text)
        while let head = longestHead(of: rest, maxBytes: maxBytes) {
            let end = cut(rest, at: head)
            parts.append(String(rest[..<end]).trimmingCharacters(in: .newlines))
            rest = rest[end...]
        }
        if !rest.isEmpty || parts.isEmpty { parts.append(String(rest)) }
        let full = parts.filter { !$0.isEmpty }
        return full.isEmpty ? [text] : full
    }

    /// A block of code that is cut goes on as one in the next part.
    static func splitMarkdown(_ text: String, maxBytes: Int) -> [String] {
        // Room for the fence's line and its end.
        let parts = split(text, maxBytes: maxBytes - 400)
        guard parts.count > 1 else { return split(text, maxBytes: maxBytes) }
        var fence: Substring?
        return parts.map { part in
            let opening = fence.map { "\($0)\n" } ?? ""
            for line in part.split(separator: "\n", omittingEmptySubsequences: false) {
                let line = line.drop { $0 == " " }
                guard line.hasPrefix("```") else { continue }
                fence = fence == nil ? line.prefix(60) : nil
            }
            return opening + part + (fence == nil ? "" : "\n```")
        }
    }

    /// Where the text has to end at the latest; nil where all of it fits.
    private static func longestHead(of text: Substring, maxBytes: Int) -> Substring.Index? {
        // What is short fits, whatever it says.
        guard text.utf8.count > maxBytes / 7 else { return nil }
        var cost = 0
        for index in text.unicodeScalars.indices {
            cost += Self.cost(text.unicodeScalars[index])
            if cost > maxBytes { return index }
        }
        return nil
    }

    /// Bytes of a scalar that is escaped twice.
    private static func cost(_ scalar: Unicode.Scalar) -> Int {
        switch scalar {
        case "\"", "\\": 4
        case "\n", "\t", "\r": 3
        case "/": 2
        default: scalar.value < 0x20 ? 7 : UTF8.width(scalar)
        }
    }

    private static func cut(_ text: Substring, at limit: Substring.Index) -> Substring.Index {
        let head = text[..<limit]
        for separator in ["\n\n", "\n", " "] {
            guard let found = head.ranges(of: separator).last, found.lowerBound > text.startIndex else { continue }
            return found.upperBound
        }
        // A whole character, unless that alone is too much; and something, in any case.
        let aligned = text.index(before: text.index(after: limit))
        if aligned > text.startIndex { return aligned }
        return limit > text.startIndex ? limit : text.unicodeScalars.index(after: limit)
    }
}
