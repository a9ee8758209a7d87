/// Mentions, which texts and cards write differently: `<at user_id="ou_1">Ann</at>` and `<at id=ou_1></at>`. Agents may
/// write either; what stands in code mentions nobody. Source: "Send message content" and "Markdown component of cards".
///
/// A mention that is not allowed becomes the words `@Ann`, or `@ou_1`. Every other tag that the platform could take for
/// a mention (`<AT`, `<at ids=...`, in code too) is told apart from one by a space without width.
///
/// Over bytes, from the beginning to the end: what an agent writes has up to 8 MiB.
enum MentionSyntax {
    /// For the Markdown of a card.
    /// - Parameter allowed: nil: everybody, and what else stands there stays.
    static func card(_ text: String, allowing allowed: AllowedMentions?) -> String {
        rewritten(text, allowed) { mention, out in
            out += "<at id=".utf8
            out += mention.id
            out += "></at>".utf8
        }
    }

    /// For a text message.
    /// - Parameter allowed: as of `card`.
    static func text(_ text: String, allowing allowed: AllowedMentions?) -> String {
        rewritten(text, allowed, writeForText)
    }

    /// For a text message, of what `card` has converted. Each mention in that is one, wherever it stands: the words
    /// that another one became may hold a backtick, so code can begin elsewhere now.
    static func text(ofCard converted: String) -> String {
        rewritten(converted, nil, skipsCode: false, writeForText)
    }

    private static func writeForText(_ mention: WrittenMention, to out: inout [UInt8]) {
        out += "<at user_id=\"".utf8
        out += mention.id
        out += "\">".utf8
        out += mention.name
        out += "</at>".utf8
    }

    /// Calls `body` with the id of each mention that is none of code.
    static func forEachID(in text: String, _ body: (String) -> Void) {
        _ = rewritten(text, nil) { mention, _ in body(String(decoding: mention.id, as: UTF8.self)) }
    }

    /// What people wrote, in a text: it mentions nobody. Texts have no escapes, so a space without width stands
    /// between.
    static func neutralized(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "<")) else { return text }
        let bytes = Array(text.utf8)
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count)
        appendNeutralized(bytes[...], to: &out)
        return String(decoding: out, as: UTF8.self)
    }

    private static func appendNeutralized(_ bytes: ArraySlice<UInt8>, to out: inout [UInt8]) {
        for index in bytes.indices {
            out.append(bytes[index])
            if bytes[index] == UInt8(ascii: "<"), namesMention(bytes[(index + 1)...]) { out += "\u{200B}".utf8 }
        }
    }

    /// Whether a tag goes on with `at` or `/at`, in any case, and the name ends there.
    private static func namesMention(_ tag: ArraySlice<UInt8>) -> Bool {
        var name = tag.prefix(4)
        if name.first == UInt8(ascii: "/") { name = name.dropFirst() }
        // The bit that tells small letters from capitals.
        guard name.prefix(2).elementsEqual("at".utf8, by: { $0 | 0x20 == $1 }) else { return false }
        return name.dropFirst(2).first.map { !isWord($0) } ?? true
    }

    private static func rewritten(
        _ text: String, _ allowed: AllowedMentions?, skipsCode: Bool = true,
        _ write: (WrittenMention, inout [UInt8]) -> Void
    ) -> String {
        guard text.utf8.contains(UInt8(ascii: "<")) else { return text }
        let bytes = Array(text.utf8)
        var out: [UInt8] = []
        var copied = 0
        var index = 0
        /// What stands between mentions.
        func copy(to end: Int) {
            if allowed == nil {
                out += bytes[copied..<end]
            } else {
                appendNeutralized(bytes[copied..<end], to: &out)
            }
        }
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "`") where skipsCode: index = endOfCode(bytes, index)
            case UInt8(ascii: "<"):
                guard let mention = WrittenMention(bytes, at: index) else {
                    index += 1
                    continue
                }
                copy(to: index)
                if allowed?.holds(String(decoding: mention.id, as: UTF8.self)) == false {
                    out += "@".utf8
                    out += mention.name.isEmpty ? mention.id : mention.name
                } else {
                    write(mention, &out)
                }
                (index, copied) = (mention.end, mention.end)
            default: index += 1
            }
        }
        guard copied > 0 || allowed != nil else { return text }
        copy(to: bytes.count)
        return String(decoding: out, as: UTF8.self)
    }

    /// Where code ends that begins with the backtick at `start`: a block at its fence or with the text, a span in its
    /// line; behind the backtick where it begins neither. No byte is looked at for more than two backticks.
    private static func endOfCode(_ bytes: [UInt8], _ start: Int) -> Int {
        let tick = UInt8(ascii: "`")
        if bytes[start...].starts(with: [tick, tick, tick]) {
            var run = 0
            for index in (start + 3)..<bytes.count {
                run = bytes[index] == tick ? run + 1 : 0
                if run == 3 { return index + 1 }
            }
            return bytes.count
        }
        for index in (start + 1)..<bytes.count where bytes[index] == tick || bytes[index] == UInt8(ascii: "\n") {
            return bytes[index] == tick && index > start + 1 ? index + 1 : start + 1
        }
        return start + 1
    }

    /// ASCII alone.
    fileprivate static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}

/// A mention as an agent wrote it, in either form.
private struct WrittenMention {
    private(set) var id: ArraySlice<UInt8> = []
    private(set) var name: ArraySlice<UInt8> = []
    private(set) var end: Int

    private static let keys = ["user_id", "open_id", "id"]
    private static let maxIDBytes = 64
    /// In Unicode scalars.
    private static let maxName = 100

    /// nil: none begins at `start`. It reads as far as the next `<` at most.
    init?(_ bytes: [UInt8], at start: Int) {
        end = start
        func take(_ word: some Collection<UInt8>) -> Bool {
            guard bytes[end...].starts(with: word) else { return false }
            end += word.count
            return true
        }
        func take(while condition: (UInt8) -> Bool) -> ArraySlice<UInt8> {
            let taken = bytes[end...].prefix(while: condition)
            end = taken.endIndex
            return taken
        }
        func takeSpaces() -> Int { take(while: { $0 == UInt8(ascii: " ") }).count }

        guard take("<at".utf8), takeSpaces() > 0, Self.keys.contains(where: { take($0.utf8) }) else { return nil }
        _ = takeSpaces()
        guard take("=".utf8) else { return nil }
        _ = takeSpaces()
        let isQuoted = take("\"".utf8)
        id = take {
            MentionSyntax.isWord($0) || $0 == UInt8(ascii: "@") || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-")
        }
        guard (1...Self.maxIDBytes).contains(id.count), !isQuoted || take("\"".utf8) else { return nil }
        _ = takeSpaces()
        guard take(">".utf8) else { return nil }
        name = take { $0 != UInt8(ascii: "<") && $0 != UInt8(ascii: "\n") }
        // Not counting the bytes that continue a scalar.
        guard name.count(where: { $0 & 0xC0 != 0x80 }) <= Self.maxName, take("</at>".utf8) else { return nil }
    }
}
