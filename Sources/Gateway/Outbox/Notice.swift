import Lark

/// What the gateway itself says to a person: as the payload of an outbox row has it. Its words are in `NoticeText`.
enum Notice: Equatable {
    case agentOffline
    case agentArchived
    /// `isSetAside`: the chat began afresh meanwhile, so its messages are in no later run.
    case runFailed(reason: String, isSetAside: Bool)
    /// The platform refused an answer for good.
    case replyUndelivered(reason: String)
    case nonWorkspaceMember
    /// Asks a stranger to bind, by a code or a link that is made when the notice is sent.
    case needsBinding
    case bound(member: String, workspace: String)
    case contextStarted
    case issueCreated(key: String, title: String)
    case issueUsage
    case help
    case status(AgentState, waiting: Int, isRunning: Bool)

    /// As the functions of the database write it into a payload, under `notice`.
    enum Name: String, CaseIterable {
        case agentOffline = "agent_offline"
        case agentArchived = "agent_archived"
        case runFailed = "run_failed"
        case replyUndelivered = "reply_undelivered"
        case nonWorkspaceMember = "non_workspace_member"
        case needsBinding = "needs_binding"
        case bound
        case contextStarted = "context_started"
        case issueCreated = "issue_created"
        case issueUsage = "issue_usage"
        case help
        case status
    }

    /// As the functions of the database write it into a payload, under `state`.
    enum AgentState: String, CaseIterable { case online, offline, archived }

    /// - Throws: `UnknownNotice`.
    init(payload: JSONValue) throws(UnknownNotice) {
        let word = payload["notice"].string ?? ""
        guard let name = Name(rawValue: word) else { throw UnknownNotice(name: word) }
        func text(_ key: String) -> String { payload[key].string ?? "" }
        self =
            switch name {
            case .agentOffline: .agentOffline
            case .agentArchived: .agentArchived
            case .runFailed:
                .runFailed(reason: text("reason"), isSetAside: payload["is_set_aside"].boolean ?? false)
            case .replyUndelivered: .replyUndelivered(reason: text("reason"))
            case .nonWorkspaceMember: .nonWorkspaceMember
            case .needsBinding: .needsBinding
            case .bound: .bound(member: text("member"), workspace: text("workspace"))
            case .contextStarted: .contextStarted
            case .issueCreated: .issueCreated(key: text("key"), title: text("title"))
            case .issueUsage: .issueUsage
            case .help: .help
            case .status:
                .status(
                    AgentState(rawValue: text("state")) ?? .offline, waiting: payload["waiting"].integer ?? 0,
                    isRunning: payload["is_running"].boolean ?? false)
            }
    }
}

/// Decided by another version of the gateway, which will send it: a wrong word would be worse than a late one.
struct UnknownNotice: Error, CustomStringConvertible {
    let name: String

    var description: String { "this version of the gateway has no words for the notice \(name): upgrade every replica" }
}
