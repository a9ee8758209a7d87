import AsyncRuntime
import Foundation
import Lark
import Store

/// Turns an outbox row into what Lark gets, and sends it. What a send means for the row is decided here.
struct Messenger: Sendable {
    let repository: Repository
    let apps: AppDirectory
    let pacer: SendPacer
    /// Where people reach the pairing page; nil: prompts carry a code.
    var publicURL: URL?
    /// Called before an answer of a session is sent.
    var answering: @Sendable (SessionKey) async -> Void = { _ in }

    /// A lease is ours a moment before its connection is made; a secret that can't be had is logged by the hub.
    private static let connectWait: Duration = .seconds(1)
    /// What is refused so often with a code that nobody knows is given up.
    private static let maxUnknownRefusals = 6
    /// Of a topic, tried when the one that was to be answered is gone.
    private static let maxOtherMessages = 3

    /// - Throws: `CancellationError` alone.
    func send(_ row: OutboxRow) async throws -> Repository.Settlement {
        guard let app = apps.client(of: row.lease.installation) else {
            // The rows of this bot stay where they are until then.
            pacer.hold(row.lease.installation, for: Self.connectWait)
            return .returned(for: Self.connectWait, reason: "the installation is not connected here")
        }
        do {
            let contents = try await contents(of: row)
            if let session = row.session { await answering(session) }
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
        } catch let error as SendPacer.HeldBack {
            return .returned(for: error.wait, reason: "\(error)")
        } catch let error as UnreadablePayload {
            return .dead(error: "\(error)", told: "\(error)")
        } catch let error as OpenAPIError {
            let settlement = Self.settlement(for: error, attempts: row.attempts)
            // Not this message alone.
            if error.isAppTooFast, case .retry(let wait, _) = settlement {
                pacer.hold(row.lease.installation, for: wait)
            }
            return settlement
        } catch {
            return .retry(in: Self.backoff(row.attempts), error: "\(error)")
        }
    }

    /// Falls back where the platform says that another form or place will do, once each.
    private func deliver(
        _ content: OutboundContent, of row: OutboxRow, uuid: String, through app: OpenAPIClient
    ) async throws -> String {
        func send(_ content: OutboundContent, to receiver: OpenAPIClient.Receiver) async throws -> String {
            let installation = row.lease.installation
            try await pacer.pace(installation, to: row.pacedChat, as: row.purpose)
            let began = ContinuousClock.now
            do {
                let id = try await app.send(content, to: receiver, uuid: uuid)
                pacer.answered(installation)
                return id
            } catch let error as OpenAPIError {
                if error.isUnanswered {
                    pacer.unanswered(installation, since: began)
                } else {
                    pacer.answered(installation)
                }
                throw error
            }
        }
        do {
            return try await send(content, to: row.receiver)
        } catch let error as OpenAPIError {
            switch error.remedy {
            case .sendAsText where content != content.asText:
                return try await send(content.asText, to: row.receiver)
            case .sendToChat(let evenFromTopic):
                // A topic's answer must not leak into the group.
                guard let chatID = row.chatID, evenFromTopic || !row.isInThread else {
                    return try await sendUnderAnother(row, error) { try await send(content, to: $0) }
                }
                return try await send(content, to: .chat(chatID))
            case .sendAsText, .retry, .retrySomeTimes, .renewToken, .giveUp:
                throw error
            }
        }
    }

    /// Answers the newest message of the topic that can be answered.
    /// - Parameter refusal: of the message that was to be answered; thrown where there is no other one.
    private func sendUnderAnother(
        _ row: OutboxRow, _ refusal: OpenAPIError, _ send: (OpenAPIClient.Receiver) async throws -> String
    ) async throws -> String {
        guard let session = row.session, case .message(let refused, inThread: true) = row.receiver else {
            throw refusal
        }
        for message in try await repository.messages(of: session, except: refused, limit: Self.maxOtherMessages) {
            do {
                return try await send(.message(message, inThread: true))
            } catch let error as OpenAPIError {
                guard case .sendToChat(evenFromTopic: false) = error.remedy else { throw error }
            }
        }
        throw refusal
    }

    static func settlement(for error: OpenAPIError, attempts: Int) -> Repository.Settlement {
        switch error.remedy {
        case .retry(let after):
            return .retry(in: max(after ?? .zero, backoff(attempts)), error: error.description)
        case .retrySomeTimes(let after) where attempts < maxUnknownRefusals:
            return .retry(in: max(after ?? .zero, backoff(attempts)), error: error.description)
        case .renewToken:
            return .retry(in: backoff(attempts), error: error.description)
        case .giveUp, .sendAsText, .sendToChat, .retrySomeTimes:
            return .dead(error: error.description, told: error.closesChat ? nil : error.reason)
        }
    }

    /// Full jitter between 0.5 s and a bound that doubles from 2 s to 60 s.
    static func backoff(_ attempts: Int) -> Duration {
        let bound = min(60_000, 1000 << min(max(attempts, 1), 6))
        return .milliseconds(Int.random(in: 500...max(501, bound)))
    }

    // MARK: Content

    /// A longer reply is read and formatted on a thread of its own: 8 MiB take some hundred milliseconds, for which
    /// acks and leases must not wait.
    private static let maxBytesInPlace = 16 << 10

    private static func onThreadOfItsOwn<T: Sendable>(
        if isLong: Bool, _ work: @escaping @Sendable () throws -> T
    ) async throws -> T {
        guard isLong else { return try work() }
        return try await BlockingCall.run { Result { try work() } }.get()
    }

    private func reply(_ row: OutboxRow) async throws -> [OutboundContent] {
        let isLong = row.payload.utf8.count > Self.maxBytesInPlace
        let (text, asked) = try await Self.onThreadOfItsOwn(if: isLong) {
            guard let text = JSONValue(parsing: row.payload)?["text"].string else { throw UnreadablePayload() }
            return (text, AllowedMentions(askedForIn: text))
        }
        let allowed = try await allowed(asked, row)
        return try await Self.onThreadOfItsOwn(if: isLong) { ReplyFormat.contents(text, mentioning: allowed) }
    }

    /// Of those whom a reply wants to mention, those whom it may: who took part in the session that it answers. A
    /// person can get an agent to say anything.
    private func allowed(_ asked: AllowedMentions, _ row: OutboxRow) async throws -> AllowedMentions {
        guard asked != .nobody, let session = row.session else { return .nobody }
        return try await repository.allowedMentions(of: asked, in: session)
    }

    private func contents(of row: OutboxRow) async throws -> [OutboundContent] {
        switch OutboxRow.Kind(rawValue: row.kind) {
        case .reply: return try await reply(row)
        case .notice, .prompt:
            guard let payload = JSONValue(parsing: row.payload) else { throw UnreadablePayload() }
            return [try await content(of: Notice(payload: payload), payload["agent"].string ?? row.agent, row)]
        case nil:
            throw JSONValue(parsing: row.payload) == nil ? UnreadablePayload() : UnknownNotice(name: row.kind)
        }
    }

    private func content(of notice: Notice, _ agent: String, _ row: OutboxRow) async throws -> OutboundContent {
        let locale = InstallationSettings.Locale(rawValue: row.locale) ?? .en
        if notice == .needsBinding { return try await prompt(row, agent, locale) }
        let text = NoticeText.text(notice, by: agent, in: locale)
        return .headedCard(title: text.title, color: .grey, text: text.body)
    }

    /// Asks a stranger to bind, by a link or by a code. Its secret is made when it is sent, not when it was decided:
    /// its 15 minutes begin now, and no row holds it in plain text. Where an attempt's outcome is unknown the next one
    /// makes another; the first one stays good.
    private func prompt(
        _ row: OutboxRow, _ agent: String, _ locale: InstallationSettings.Locale
    ) async throws -> OutboundContent {
        let link = publicURL.map { (page: $0, secret: PairingLink()) }
        let code = link?.secret.approvalCode ?? BindingCode()
        if case .person(let openID) = row.receiver {
            try await repository.makeBindingToken(
                code: code.hash, link: link?.secret.hash, openID: openID, installation: row.lease.installation)
        }
        guard let link else {
            let text = NoticeText.text(.needsBinding, by: agent, in: locale, code: code.description)
            return .headedCard(title: text.title, color: .blue, text: text.body)
        }
        let text = NoticeText.text(.needsBinding, by: agent, in: locale)
        return .linkCard(
            title: text.title, color: .blue, text: text.body, button: text.button ?? "",
            url: link.secret.url(under: link.page))
    }
}

/// The row's payload is no JSON that the gateway writes: nobody can send it.
struct UnreadablePayload: Error, CustomStringConvertible {
    var description: String { "what was to be sent can't be read" }
}

extension OutboxRow {
    /// As in `gateway.outbox.kind`.
    enum Kind: String, CaseIterable { case reply, notice, prompt }

    /// Whose share of the app's rate it counts for.
    var purpose: SendRates.Purpose { kind == Kind.reply.rawValue ? .reply : .notice }

    /// The chat or person whose rate it counts for.
    var pacedChat: String {
        switch receiver {
        case .chat(let id): id
        case .person(let openID): openID
        case .message: chatID ?? ""
        }
    }

    /// Whether it answers in a topic.
    var isInThread: Bool {
        if case .message(_, inThread: true) = receiver { return true }
        return false
    }
}
