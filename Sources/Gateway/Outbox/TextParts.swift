/// Cuts a long text where it hurts least: between paragraphs, else lines, else words, else characters. Over bytes, and
/// each of them a few times at most, whatever the text says: a part that a paragraph, a line or a word made short is
/// followed by one that none of the three makes short.
enum TextParts {
    /// - Parameter maxBytes: of each part, as JSON in a string of JSON, as the platform counts it.
    static func split(_ text: String, maxBytes: Int) -> [String] {
        let bytes = Array(text.utf8)
        return split(bytes, maxBytes: maxBytes).map { String(decoding: $0, as: UTF8.self) }
    }

    /// A block of code that is cut goes on as one in the next part.
    static func splitMarkdown(_ text: String, maxBytes: Int) -> [String] {
        let bytes = Array(text.utf8)
        let parts = split(bytes, maxBytes: maxBytes - roomForFence)
        guard parts.count > 1 else {
            return split(bytes, maxBytes: maxBytes).map { String(decoding: $0, as: UTF8.self) }
        }
        var fence: ArraySlice<UInt8>?
        return parts.map { part in
            var whole: [UInt8] = []
            if let fence { whole += fence + [UInt8(ascii: "\n")] }
            whole += part
            for line in part.split(separator: UInt8(ascii: "\n")) {
                let line = line.drop { $0 == UInt8(ascii: " ") }
                guard line.starts(with: ticks) else { continue }
                fence = fence == nil ? fenceLine(line) : nil
            }
            if fence != nil { whole += [UInt8(ascii: "\n")] + ticks }
            return String(decoding: whole, as: UTF8.self)
        }
    }

    private static let ticks = Array("```".utf8)
    /// For the line of a fence that is repeated, and for the fence's end.
    private static let roomForFence = 400
    private static let maxFenceCost = 300

    /// As much of the line as is repeated.
    private static func fenceLine(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var cost = 0
        var end = line.startIndex
        while end < line.endIndex, cost + Self.cost(line[end]) <= maxFenceCost, end - line.startIndex < 60 {
            cost += Self.cost(line[end])
            end += 1
        }
        return line[..<scalarStart(line, end)]
    }

    /// Without the line ends around each; the last one keeps its own.
    private static func split(_ text: [UInt8], maxBytes: Int) -> [ArraySlice<UInt8>] {
        var parts: [ArraySlice<UInt8>] = []
        var start = 0
        while let end = cut(text, from: start, maxBytes: maxBytes) {
            let part = trimmed(text[start..<end])
            if !part.isEmpty { parts.append(part) }
            start = end
        }
        if start < text.count || parts.isEmpty { parts.append(text[start...]) }
        return parts
    }

    /// Where the part that begins at `start` ends; nil where all of the rest fits.
    private static func cut(_ text: [UInt8], from start: Int, maxBytes: Int) -> Int? {
        // What is short fits, whatever it says.
        guard text.count - start > maxBytes / 7 else { return nil }
        var cost = 0
        var (paragraph, line, word): (Int?, Int?, Int?)
        for index in start..<text.count {
            let byte = text[index]
            cost += Self.cost(byte)
            guard cost <= maxBytes else {
                return paragraph ?? line ?? word
                    ?? cutCharacters(text, from: start, atMost: scalarStart(text[...], index))
            }
            // One that begins the part separates nothing.
            guard index > start else { continue }
            switch byte {
            case UInt8(ascii: "\n"):
                line = index + 1
                if index > start + 1, text[index - 1] == UInt8(ascii: "\n") { paragraph = index + 1 }
            case UInt8(ascii: " "): word = index + 1
            default: break
            }
        }
        return nil
    }

    /// What a byte costs that is escaped twice; those of a scalar beyond ASCII count one by one.
    private static func cost(_ byte: UInt8) -> Int {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): 4
        case UInt8(ascii: "\n"), UInt8(ascii: "\t"), UInt8(ascii: "\r"): 3
        case UInt8(ascii: "/"): 2
        default: byte < 0x20 ? 7 : 1
        }
    }

    /// A whole character, unless that alone is too much, or has more bytes than are looked at; and something, in any
    /// case.
    private static func cutCharacters(_ text: [UInt8], from start: Int, atMost limit: Int) -> Int {
        var next = limit + 1
        while next < text.count, isContinuation(text[next]) { next += 1 }
        let lookedAt = scalarStart(text[...], max(start, limit - 512))
        let window = String(decoding: text[lookedAt..<next], as: UTF8.self)
        // The character that the limit stands in, or that begins there.
        let last = window.index(before: window.endIndex)
        let offset = window.utf8.distance(from: window.startIndex, to: last)
        if offset > 0 { return lookedAt + offset }
        return limit > start ? limit : next
    }

    /// The first byte of the scalar that `index` stands in.
    private static func scalarStart(_ text: ArraySlice<UInt8>, _ index: Int) -> Int {
        var index = index
        while index > text.startIndex, index < text.endIndex, isContinuation(text[index]) { index -= 1 }
        return index
    }

    private static func isContinuation(_ byte: UInt8) -> Bool { byte & 0xC0 == 0x80 }

    /// Without the line ends at its beginning and its end.
    private static func trimmed(_ part: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var (start, end) = (part.startIndex, part.endIndex)
        while start < end {
            let length = lineEnd(
                part[start], start + 1 < end ? part[start + 1] : 0, start + 2 < end ? part[start + 2] : 0)
            guard length > 0 else { break }
            start += length
        }
        trimming: while start < end {
            for length in 1...3 where end - length >= start {
                let first = end - length
                guard lineEnd(part[first], length > 1 ? part[first + 1] : 0, length > 2 ? part[first + 2] : 0) == length
                else {
                    continue
                }
                end = first
                continue trimming
            }
            break
        }
        return part[start..<end]
    }

    /// How many bytes the line end has that begins with these; 0: none does. Source: the Unicode Standard, section 5.8.
    private static func lineEnd(_ first: UInt8, _ second: UInt8, _ third: UInt8) -> Int {
        switch (first, second, third) {
        case (0x0A...0x0D, _, _): 1
        case (0xC2, 0x85, _): 2
        case (0xE2, 0x80, 0xA8), (0xE2, 0x80, 0xA9): 3
        default: 0
        }
    }
}
