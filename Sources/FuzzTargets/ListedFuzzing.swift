import Gateway
import Lark
import Store

/// What the platform lists of a chat, down to what an agent reads of it.
enum ListedFuzzing {
    static func run(_ bytes: [UInt8]) {
        guard let json = JSONValue(parsing: bytes) else { return }
        let listed = json["data"]["items"].array.compactMap { ListedMessage($0) }
        var asked = InboundMessage(appID: "cli_fuzz")
        asked.threadID = listed.first?.threadID ?? ""
        asked.sentAtMilliseconds = listed.map(\.sentAtMilliseconds).max()
        let people = GroupContext.people(listed, before: asked)
        let member = people.first.map { Set([$0]) } ?? []
        let known = GroupContext.select(listed, before: asked, ContextRules(members: member, tellsOfStrangers: false))
        precondition(
            known.allSatisfy { $0.message.isFromBot || member.contains($0.message.sender) }, "a stranger is told of")
        let selected = GroupContext.select(
            listed, before: asked, ContextRules(members: member, tellsOfStrangers: true))
        precondition(selected.allSatisfy { $0.message.threadID == asked.threadID }, "a topic leaks into another")
        precondition(selected.count <= GroupContext.mostMessages)
        precondition(listed.allSatisfy { $0.messageID.utf8.count <= 256 && $0.sender.utf8.count <= 256 })
        let context = GroupContext.json(selected)
        let rows = JSONValue(parsing: Array(context.utf8))?.array ?? []
        precondition(rows.count == selected.count, "a context that is no JSON")
        // Postgres takes no NUL in JSON.
        for row in rows {
            precondition(["user", "bot", "self"].contains(row["from"].string), "nobody said it")
            let texts = row.keys.map { row[$0].string ?? "" }
            precondition(!texts.contains { $0.utf8.contains(0) }, "a NUL goes to the database")
        }
    }
}
