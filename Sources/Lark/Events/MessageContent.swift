import Foundation

/// What a message says, flattened to the text that an agent reads. Source: the platform's "Message content" page.
struct MessageContent: Sendable, Equatable {
    let type: String
    let content: String
    let mentions: [Mention]
    let bot: BotIdentity

    /// - Parameter bound: a result of more bytes may be cut anywhere beyond them.
    func text(bound: Int) -> String {
        let json = JSONValue(parsing: content)
        switch type {
        case "text":
            guard let text = json?["text"].string else { return placeholder }
            return MentionText(mentions, bot).resolve(text, bound: bound)
        case "post":
            guard let json, json.isObject else { return placeholder }
            return MentionText(mentions, bot).resolve(PostContent(mentions).text(json), bound: bound)
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
struct PostContent {
    private let keys: Set<String>
    private let keysByOpenID: [String: String]

    init(_ mentions: [Mention]) {
        keys = Set(mentions.map(\.key))
        keysByOpenID = Dictionary(
            mentions.compactMap { mention in mention.openID.map { ($0, mention.key) } },
            uniquingKeysWith: { first, _ in first })
    }

    func text(_ json: JSONValue) -> String {
        var post = json
        if !json["content"].exists, let locale = json.keys.first(where: { json[$0]["content"].exists }) {
            post = json[locale]
        }
        let title = post["title"].string ?? ""
        let rows = post["content"].array.map { row in row.array.map { element($0) }.joined() }
        return ((title.isEmpty ? [] : [title]) + rows).joined(separator: "\n")
    }

    private func element(_ json: JSONValue) -> String {
        let text = json["text"].string ?? ""
        switch json["tag"].word ?? "" {
        case "text", "md": return text
        case "a":
            let target = json["href"].string ?? ""
            return "[\(text)](\(target))"
        case "at": return mention(json)
        case "img": return "[image]"
        case "media": return "[media]"
        case "emotion": return "[\(json["emoji_type"].string ?? "emotion")]"
        case "hr": return "---"
        case "code_block": return "```\(json["language"].string?.lowercased() ?? "")\n\(text)\n```"
        default: return text
        }
    }

    /// A key of `mentions` is resolved with the others later; an open_id is known by its mention or its name.
    private func mention(_ json: JSONValue) -> String {
        if let id = json["user_id"].word {
            if keys.contains(id) { return id }
            if let key = keysByOpenID[id] { return key }
            if id == "all" || id == "@_all" { return "@_all" }
        }
        return "@" + (json["user_name"].string ?? json["user_id"].string ?? "")
    }
}
