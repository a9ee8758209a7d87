/// Replaces mention keys: the bot's own goes, with one space beside it; other people's become @Name; unknown keys stay.
///
/// Over bytes, in one pass, so that no name is taken for a key. At each `@` the longest key that stands there counts:
/// `@_user_1` is a prefix of `@_user_10`. What follows a key is not looked at: a combining mark behind it belongs to
/// what the person wrote, and changes no key.
package struct MentionText {
    private let keys: KeyTree
    private let mentions: [Mention]
    private let bot: BotIdentity

    package init(_ mentions: [Mention], _ bot: BotIdentity) {
        self.mentions = mentions
        self.bot = bot
        keys = KeyTree(mentions.map(\.key))
    }

    /// - Parameter bound: a result of more bytes may be cut anywhere beyond them: a long name that is mentioned many
    ///   times must not take more memory than what is kept of it.
    package func resolve(_ text: String, bound: Int) -> String {
        guard !mentions.isEmpty else { return text }
        let bytes = Array(text.utf8)
        var out: [UInt8] = []
        out.reserveCapacity(min(bytes.count, bound))
        var copied = 0
        while let at = bytes[copied...].firstIndex(of: UInt8(ascii: "@")) {
            out += bytes[copied..<at]
            copied = at
            // Each mention of the bot that is still to come takes one space off the end, at most.
            let mayGo = bot == BotIdentity() ? 0 : bytes.count - copied
            guard out.count - mayGo <= bound else { return String(decoding: out, as: UTF8.self) }
            guard let (index, end) = keys.longest(in: bytes, at: at) else {
                out.append(UInt8(ascii: "@"))
                copied += 1
                continue
            }
            copied = end
            if !bot.isMentioned(by: mentions[index]) {
                out += "@\(mentions[index].name)".utf8
            } else if copied < bytes.count, bytes[copied] == UInt8(ascii: " ") {
                copied += 1
            } else if out.last == UInt8(ascii: " ") {
                out.removeLast()
            }
        }
        out += bytes[copied...]
        return String(decoding: out, as: UTF8.self)
    }
}

/// Finds the longest of some keys that stands at a place in a text. A look costs as many steps as that key has bytes,
/// at most, however many keys there are.
struct KeyTree {
    /// From a node, by a byte, to a node; the root is 0.
    private var edges: [Edge: Int] = [:]
    /// Which key ends at a node.
    private var ends: [Int: Int] = [:]

    private struct Edge: Hashable {
        let node: Int
        let byte: UInt8
    }

    /// Of two equal keys the first one counts.
    init(_ keys: [String]) {
        for (index, key) in keys.enumerated() where !key.isEmpty {
            var node = 0
            for byte in key.utf8 {
                let edge = Edge(node: node, byte: byte)
                let next = edges[edge] ?? edges.count + 1
                edges[edge] = next
                node = next
            }
            if ends[node] == nil { ends[node] = index }
        }
    }

    /// - Returns: the index of the key, and where it ends in `text`.
    func longest(in text: [UInt8], at start: Int) -> (index: Int, end: Int)? {
        var found: (index: Int, end: Int)?
        var node = 0
        var place = start
        while place < text.count, let next = edges[Edge(node: node, byte: text[place])] {
            node = next
            place += 1
            if let index = ends[node] { found = (index, place) }
        }
        return found
    }
}
