import Gateway
import Lark

/// What the platform lists of a chat, down to what an agent reads of it.
enum ListedFuzzing {
    static func run(_ bytes: [UInt8]) {
        guard let json = JSONValue(parsing: bytes) else { return }
        let listed = json["data"]["items"].array.compactMap { ListedMessage($0) }
        var asked = InboundMessage(appID: "cli_fuzz")
        asked.threadID = listed.first?.threadID ?? ""
        asked.sentAtMilliseconds = listed.map(\.sentAtMilliseconds).max()
        let selected = GroupContext.select(listed, before: asked)
        precondition(selected.allSatisfy { $0.threadID == asked.threadID }, "a topic leaks into another")
        precondition(selected.count <= GroupContext.mostMessages)
        let context = GroupContext.json(selected)
        precondition(
            JSONValue(parsing: Array(context.utf8))?.array.count == selected.count, "a context that is no JSON")
        // Postgres takes no NUL in JSON.
        precondition(!context.contains("\\u0000"), "a NUL goes to the database")
    }
}
