import Foundation
import Gateway
import Lark

/// What an agent says, down to what the platform gets.
enum ReplyFuzzing {
    /// Small, so that a text of some kilobytes becomes many parts.
    private static let maxTextBytes = 300
    private static let maxCardBytes = 900

    /// The first byte says whether it may mention everybody.
    static func run(_ bytes: [UInt8]) {
        guard let first = bytes.first else { return }
        let text = String(decoding: bytes.dropFirst(), as: UTF8.self)
        let allowed = AllowedMentions(people: ["ou_1", "ou_2"], everybody: first % 2 == 1)
        checkMentions(text, allowed)
        let contents = ReplyFormat.contents(
            text, mentioning: allowed, maxTextBytes: maxTextBytes, maxCardBytes: maxCardBytes)
        precondition(!contents.isEmpty, "a reply that becomes nothing")
        for content in contents {
            switch content {
            case .text(let part): precondition(cost(part.string) <= maxTextBytes, "a text over the bound")
            case .markdownCard(let part): precondition(cost(part.string) <= maxCardBytes, "a card over the bound")
            case .headedCard, .linkCard: preconditionFailure("a notice")
            }
            precondition(JSONValue(parsing: content.json) != nil, "a content that is no JSON")
        }
    }

    /// As JSON in a string of JSON, as the platform counts it.
    private static func cost(_ text: String) -> Int {
        func quoted(_ text: String) -> String {
            let data = try? JSONSerialization.data(
                withJSONObject: text, options: [.fragmentsAllowed, .withoutEscapingSlashes])
            return String(decoding: data ?? Data(), as: UTF8.self)
        }
        // Without the quotes of either.
        let inner = String(quoted(text).dropFirst().dropLast())
        return quoted(inner).utf8.count - 2
    }

    private static func checkMentions(_ text: String, _ allowed: AllowedMentions) {
        let card = CardMarkdown(text, mentioning: allowed)
        let ids = (allowed.people + (allowed.everybody ? ["all"] : [])).sorted()
        let textForms = ids.map { "<at user_id=\"\($0)\">" }
        check(card.string, ids.map { "<at id=\($0)></at>" })
        check(MessageText(text, mentioning: allowed).string, textForms)
        guard case .text(let second) = OutboundContent.markdownCard(card).asText else {
            preconditionFailure("a card's second try is no text")
        }
        check(second.string, textForms)
    }

    /// Each tag that the platform could take for a mention is one of these.
    private static func check(_ sent: String, _ forms: [String]) {
        let bytes = Array(sent.utf8)
        let forms = forms.map { Array($0.utf8) }
        for index in bytes.indices where bytes[index] == UInt8(ascii: "<") {
            let name = bytes[(index + 1)...].prefix(2).map { $0 | 0x20 }
            guard name.elementsEqual("at".utf8) else { continue }
            let behind = bytes[(index + 3)...].first.map(Unicode.Scalar.init)
            guard behind.map({ !$0.properties.isAlphabetic && !("0"..."9").contains($0) && $0 != "_" }) ?? true else {
                continue
            }
            precondition(forms.contains { bytes[index...].starts(with: $0) }, "a mention that is not allowed")
        }
    }
}
