import Foundation

/// What a message says, flattened to the text that an agent reads. Source: the platform's "Message content" page.
struct MessageContent {
    let type: String
    let content: String
    let mentions: [Mention]
    let bot: BotIdentity

    var text: String {
        let json = JSONValue(parsing: content)
        switch type {
        case "text":
            guard let text = json?["text"].string else { return placeholder }
            return MentionText.resolve(text, mentions, bot)
        case "post":
            guard let json, json.isObject else { return placeholder }
            return MentionText.resolve(PostContent.text(json, mentions), mentions, bot)
        default:
            return placeholder
        }
    }

    /// Honest about what is not decoded yet: the type stands for the content.
    private var placeholder: String {
        let known = [
            "image", "file", "folder", "audio", "media", "sticker", "interactive", "hongbao", "share_chat",
            "share_user", "share_calendar_event", "calendar", "general_calendar", "location", "video_chat", "todo",
            "vote", "merge_forward", "system", "text", "post",
        ]
        return known.contains(type) ? "[\(type)]" : "[message of type \(type.prefix(64))]"
    }
}

/// Rows of elements become lines. A received post has no locale around it; one that does is read too.
enum PostContent {
    static func text(_ json: JSONValue, _ mentions: [Mention]) -> String {
        var post = json
        if !json["content"].exists, let locale = json.keys.first(where: { json[$0]["content"].exists }) {
            post = json[locale]
        }
        let title = post["title"].string ?? ""
        let rows = post["content"].array.map { row in row.array.map { element($0, mentions) }.joined() }
        return ((title.isEmpty ? [] : [title]) + rows).joined(separator: "\n")
    }

    private static func element(_ json: JSONValue, _ mentions: [Mention]) -> String {
        let text = json["text"].string ?? ""
        switch json["tag"].string ?? "" {
        case "text", "md": return text
        case "a":
            let target = json["href"].string ?? ""
            return "[\(text)](\(target))"
        case "at":
            // A key of `mentions` is resolved with the others later; an open_id is known by its mention or its name.
            let id = json["user_id"].string ?? ""
            if mentions.contains(where: { $0.key == id }) { return id }
            if let mention = mentions.first(where: { $0.openID == id }) { return mention.key }
            if id == "all" || id == "@_all" { return "@_all" }
            return "@" + (json["user_name"].string ?? id)
        case "img": return "[image]"
        case "media": return "[media]"
        case "emotion": return "[\(json["emoji_type"].string ?? "emotion")]"
        case "hr": return "---"
        case "code_block": return "```\(json["language"].string?.lowercased() ?? "")\n\(text)\n```"
        default: return text
        }
    }
}

/// Replaces mention keys: the bot's own goes, with one space beside it; other people's become @Name; unknown keys stay.
enum MentionText {
    static func resolve(_ text: String, _ mentions: [Mention], _ bot: BotIdentity) -> String {
        // Longest first: `@_user_1` is a prefix of `@_user_10`. One pass, so that no name is taken for a key.
        let keys = mentions.sorted { $0.key.utf8.count > $1.key.utf8.count }
        guard !keys.isEmpty else { return text }
        var out = ""
        var rest = text[...]
        while let at = rest.firstIndex(of: "@") {
            out += rest[..<at]
            rest = rest[at...]
            guard let mention = keys.first(where: { rest.hasPrefix($0.key) }) else {
                out.append("@")
                rest = rest.dropFirst()
                continue
            }
            rest = rest.dropFirst(mention.key.count)
            if bot.isMentioned(by: mention) {
                if rest.first == " " {
                    rest = rest.dropFirst()
                } else if out.last == " " {
                    out.removeLast()
                }
            } else {
                out += "@" + mention.name
            }
        }
        return out + rest
    }
}
