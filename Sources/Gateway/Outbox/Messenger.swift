import Foundation
import Lark

/// Turns an outbox row into what Lark gets, and sends it. What a send means for the row is decided here.
struct Messenger: Sendable {
    let repository: Repository
    let apps: @Sendable (InstallationID) -> OpenAPIClient?

    /// The platform's bound for a text, less the envelope.
    static let maxTextBytes = 140_000
    /// The platform's bound for a card, less the envelope and the escapes of JSON.
    static let maxCardBytes = 20_000

    /// - Throws: `CancellationError` alone.
    func send(_ row: OutboxRow) async throws -> Repository.Settlement {
        guard let app = apps(row.lease.installation) else {
            return .retry(in: .seconds(5), error: "the installation is not connected here")
        }
        do {
            let contents = try await contents(of: row)
            var firstID = ""
            for (index, content) in contents.enumerated() {
                // A part has a uuid of its own, the same at every attempt: the parts that went out are not doubled.
                let uuid = row.id.uuidString.lowercased() + (index == 0 ? "" : "-\(index)")
                let id = try await deliver(content, of: row, uuid: uuid, through: app)
                if index == 0 { firstID = id }
            }
            return .sent(larkMessageID: firstID)
        } catch let error as CancellationError {
            throw error
        } catch let error as OpenAPIError {
            return Self.settlement(for: error, attempts: row.attempts)
        } catch {
            return .retry(in: Self.backoff(row.attempts), error: "\(error)")
        }
    }

    /// Falls back where the platform says that another form or place will do, once each.
    private func deliver(
        _ content: OutboundContent, of row: OutboxRow, uuid: String, through app: OpenAPIClient
    ) async throws -> String {
        do {
            return try await app.send(content, to: row.receiver, uuid: uuid)
        } catch let error as OpenAPIError {
            switch error.remedy {
            case .sendAsText where content != content.asText:
                return try await app.send(content.asText, to: row.receiver, uuid: uuid)
            case .sendToChat(let evenFromTopic):
                // A topic's answer must not leak into the group.
                guard let chatID = row.chatID, evenFromTopic || !row.isInThread else { throw error }
                return try await app.send(content, to: .chat(chatID), uuid: uuid)
            case .sendAsText, .retry, .renewToken, .giveUp:
                throw error
            }
        }
    }

    static func settlement(for error: OpenAPIError, attempts: Int) -> Repository.Settlement {
        switch error.remedy {
        case .retry(let after):
            return .retry(in: max(after ?? .zero, backoff(attempts)), error: error.description)
        case .renewToken:
            return .retry(in: backoff(attempts), error: error.description)
        case .giveUp, .sendAsText, .sendToChat:
            return .dead(error: error.description)
        }
    }

    /// Full jitter between 0.5 s and a bound that doubles from 2 s to 60 s.
    static func backoff(_ attempts: Int) -> Duration {
        let bound = min(60_000, 1000 << min(max(attempts, 1), 6))
        return .milliseconds(Int.random(in: 500...max(501, bound)))
    }

    // MARK: Content

    private func contents(of row: OutboxRow) async throws -> [OutboundContent] {
        guard let payload = JSONValue(parsing: row.payload) else { return [] }
        if row.kind == .reply { return Self.reply(payload["text"].string ?? "") }
        let agent = payload["agent"].string ?? row.agent
        let locale = InstallationSettings.Locale(rawValue: row.locale) ?? .en
        let notice: NoticeText.Notice
        switch payload["notice"].string {
        case "agent_offline": notice = .agentOffline(agent: agent)
        case "agent_archived": notice = .agentArchived(agent: agent)
        case "non_workspace_member": notice = .nonWorkspaceMember(agent: agent)
        case "context_started": notice = .contextStarted(agent: agent)
        case "issue_created":
            notice = .issueCreated(
                agent: agent, key: payload["key"].string ?? "", title: payload["title"].string ?? "")
        case "issue_usage": notice = .issueUsage(agent: agent)
        case "help": notice = .help(agent: agent)
        case "status":
            notice = .status(
                agent: agent, state: NoticeText.AgentState(rawValue: payload["state"].string ?? "") ?? .offline,
                waiting: payload["waiting"].integer ?? 0, isRunning: payload["is_running"].boolean ?? false)
        case "needs_binding": notice = .needsBinding(agent: agent, code: try await makeCode(for: row))
        default: notice = .runFailed(agent: agent, reason: payload["reason"].string ?? "")
        }
        let text = NoticeText.text(notice, locale)
        return [.headedCard(title: text.title, color: row.kind == .prompt ? .blue : .grey, text: text.body)]
    }

    /// Made when it is sent, not when it was decided: its 15 minutes begin now, and no row holds it in plain text. Where
    /// an attempt's outcome is unknown the next one makes another; the first one stays good.
    private func makeCode(for row: OutboxRow) async throws -> String {
        guard case .person(let openID) = row.receiver else { return "" }
        let code = BindingCode()
        try await repository.makeBindingCode(
            sha256: code.sha256, openID: openID, installation: row.lease.installation)
        return code.description
    }

    /// A card where the text has Markdown signs and fits, else text, in as many parts as it needs.
    static func reply(_ text: String) -> [OutboundContent] {
        if hasMarkdown(text), text.utf8.count <= maxCardBytes { return [.markdownCard(text)] }
        return TextParts.split(text, maxBytes: maxTextBytes).map { .text($0) }
    }

    /// Fences, tables, headings, lists, bold, links.
    static func hasMarkdown(_ text: String) -> Bool {
        text.contains("```") || text.contains(/(?m)^\s*\|.*\|\s*$/) || text.contains(/(?m)^#{1,6} \S/)
            || text.contains(/(?m)^\s*(?:[-*+]|\d+\.) \S/) || text.contains(/\*\*[^*\n]+\*\*/)
            || text.contains(/\[[^\]\n]+\]\([^)\s]+\)/)
    }
}

extension OutboxRow {
    /// Whether it answers in a topic.
    var isInThread: Bool {
        if case .message(_, inThread: true) = receiver { return true }
        return false
    }
}

/// Cuts a long text where it hurts least: between paragraphs, else lines, else words, else characters.
enum TextParts {
    static func split(_ text: String, maxBytes: Int) -> [String] {
        guard text.utf8.count > maxBytes else { return [text] }
        var parts: [String] = []
        var rest = Substring(text)
        while rest.utf8.count > maxBytes {
            let limit = rest.utf8.index(rest.startIndex, offsetBy: maxBytes)
            var end = rest.startIndex
            // The scalar view rounds down to a whole scalar.
            var head = Substring(rest.unicodeScalars[..<limit])
            if head.isEmpty { head = rest.prefix(1) }
            for separator in ["\n\n", "\n", " "] {
                guard let cut = head.ranges(of: separator).last, cut.lowerBound > rest.startIndex else { continue }
                end = cut.upperBound
                break
            }
            if end == rest.startIndex { end = head.endIndex }
            parts.append(String(rest[..<end]).trimmingCharacters(in: .newlines))
            rest = rest[end...]
        }
        if !rest.isEmpty { parts.append(String(rest)) }
        return parts.filter { !$0.isEmpty }
    }
}
