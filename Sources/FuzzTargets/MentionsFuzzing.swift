import Foundation
import Lark

/// Mentions in what people write: keys in a text, and the names that they stand for.
enum MentionsFuzzing {
    private static let bot = BotIdentity(openID: "ou_bot", unionID: nil)

    /// 0xFF, which stands in no UTF-8, parts the text from the keys and names, which take turns. A mention without a
    /// name is the bot's.
    static func run(_ bytes: [UInt8]) {
        let parts = bytes.split(separator: 0xFF, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        let text = parts[0]
        let pairs = stride(from: 1, to: parts.count - 1, by: 2).prefix(16).map { (key: parts[$0], name: parts[$0 + 1]) }
        let known = pairs.compactMap { pair in mention(pair.key, pair.name).map { (mention: $0, pair: pair) } }
        let found = MentionText(known.map(\.mention), bot)
        let whole = found.resolve(text, bound: .max / 2)
        precondition(Array(whole.utf8) == resolved(text, known.map(\.pair)), "another text than key by key")
        // What is cut is beyond the bound.
        let bound = 64
        let cut = found.resolve(text, bound: bound)
        precondition(cut.utf8.prefix(bound).elementsEqual(whole.utf8.prefix(bound)), "another beginning with a bound")
    }

    private static func mention(_ key: String, _ name: String) -> Mention? {
        let json: [String: Any] = ["key": key, "name": name, "id": ["open_id": name.isEmpty ? "ou_bot" : "ou_1"]]
        // A NUL of JSON becomes another character.
        guard !key.isEmpty, !"\(key)\(name)".utf8.contains(0),
            let data = try? JSONSerialization.data(withJSONObject: json)
        else {
            return nil
        }
        return JSONValue(parsing: Array(data)).flatMap { Mention($0) }
    }

    /// The same, slowly.
    private static func resolved(_ text: String, _ pairs: [(key: String, name: String)]) -> [UInt8] {
        let bytes = Array(text.utf8)
        var out: [UInt8] = []
        var index = 0
        while index < bytes.count {
            let here = pairs.filter { bytes[index] == UInt8(ascii: "@") && bytes[index...].starts(with: $0.key.utf8) }
            let longest = here.map(\.key.utf8.count).max() ?? 0
            guard let pair = here.first(where: { $0.key.utf8.count == longest }) else {
                out.append(bytes[index])
                index += 1
                continue
            }
            index += longest
            if !pair.name.isEmpty {
                out += "@\(pair.name)".utf8
            } else if index < bytes.count, bytes[index] == UInt8(ascii: " ") {
                index += 1
            } else if out.last == UInt8(ascii: " ") {
                out.removeLast()
            }
        }
        return out
    }
}
