import Curl
import AsyncRuntime
import Foundation

/// The calls of the platform's open API that the gateway makes, for one app.
package struct OpenAPIClient: Sendable {
    private let domain: URL
    private let appID: String
    private let http: HTTPExchange
    private let tokens: TenantTokens

    private static let messages = ["im", "v1", "messages"]
    /// 50 messages, each with the platform's 150 KB at most before they are escaped. All other answers are short.
    private static let maxListBytes = 16 << 20

    /// - Parameter domain: `https://open.feishu.cn`, `https://open.larksuite.com` or a test server.
    package init(domain: URL, appID: String, appSecret: String, http: HTTPExchange) {
        self.domain = domain
        self.appID = appID
        self.http = http
        tokens = TenantTokens {
            let call = "tenant_access_token"
            let url = domain.appendingPathComponent("open-apis/auth/v3/tenant_access_token/internal")
            let json = try await Self.exchange(
                call, http, "POST", url, [:], ["app_id": appID, "app_secret": appSecret], .token, appID)
            guard let value = json["tenant_access_token"].string, !value.isEmpty else {
                throw OpenAPIError(
                    call: call, code: 0, status: 200, message: "no token in the answer", logID: nil,
                    remedy: .retry(after: nil))
            }
            guard value.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                throw OpenAPIError(
                    call: call, code: 0, status: 200,
                    message: "the token of the answer has characters that may not stand in a header", logID: nil,
                    remedy: .retry(after: nil))
            }
            return TenantTokens.Token(value: value, lifetime: .seconds(json["expire"].integer ?? 0))
        }
    }

    /// Proves that app id and secret are right.
    package func checkCredentials() async throws {
        _ = try await tokens.token()
    }

    /// Who the bot is. The union_id needs a permission that an app may lack: then it stays unknown.
    /// - Throws: `OpenAPIError`, `CancellationError`.
    package func botIdentity() async throws -> BotIdentity {
        let info = try await call("bot_info", "GET", ["bot", "v3", "info"], for: .connecting)
        guard let openID = info["bot"]["open_id"].string, !openID.isEmpty else {
            throw OpenAPIError(
                call: "bot_info", code: 0, status: 200, message: "no open_id in the answer", logID: nil,
                remedy: .retry(after: nil))
        }
        let user = try? await call(
            "bot_user", "GET", ["contact", "v3", "users", openID], query: ["user_id_type": "open_id"],
            for: .connecting)
        return BotIdentity(openID: openID, unionID: user?["data"]["user"]["union_id"].string)
    }

    /// What a person of the app's own tenant is called. The platform tells of nobody else, and needs a permission that
    /// an app may lack.
    /// - Throws: `OpenAPIError`, `CancellationError`.
    package func name(ofPerson openID: String) async throws -> String? {
        let user = try await call(
            "user", "GET", ["contact", "v3", "users", openID], query: ["user_id_type": "open_id"], for: .connecting)
        return user["data"]["user"]["name"].string.flatMap { $0.isEmpty ? nil : $0 }
    }

    package enum Receiver: Sendable, Equatable {
        case chat(String)
        case person(openID: String)
        /// Answers a message.
        case message(String, inThread: Bool)
    }

    /// Sends one message.
    /// - Parameter uuid: at most 50 characters; the same uuid to the same receiver within an hour makes no second one.
    /// - Parameter purpose: whose slots it takes.
    /// - Returns: the new message's id.
    /// - Throws: `OpenAPIError`, `CancellationError`.
    package func send(
        _ content: OutboundContent, to receiver: Receiver, uuid: String, for purpose: RequestPurpose = .sending
    ) async throws -> String {
        var body: [String: any Sendable] = [
            "msg_type": content.messageType, "content": content.json, "uuid": uuid,
        ]
        let json: JSONValue
        switch receiver {
        case .chat(let id):
            body["receive_id"] = id
            json = try await call(
                "send_message", "POST", Self.messages, query: ["receive_id_type": "chat_id"], body,
                for: purpose)
        case .person(let openID):
            body["receive_id"] = openID
            json = try await call(
                "send_message", "POST", Self.messages, query: ["receive_id_type": "open_id"], body,
                for: purpose)
        case .message(let id, let inThread):
            body["reply_in_thread"] = inThread
            json = try await call("reply_message", "POST", Self.messages + [id, "reply"], body, for: purpose)
        }
        return json["data"]["message_id"].string ?? ""
    }

    /// Shows another content in a card that the bot sent.
    /// - Throws: `OpenAPIError`, `CancellationError`.
    package func update(_ messageID: String, to card: OutboundContent) async throws {
        _ = try await call(
            "update_message", "PATCH", Self.messages + [messageID], ["content": card.json], for: .companion)
    }

    /// The newest messages of a chat, or of a topic of it.
    /// - Parameter thread: empty: of the chat.
    /// - Parameter until: milliseconds since 1970; nil: now. A topic takes no times.
    /// - Parameter patience: for all of it.
    /// - Throws: `OpenAPIError`, `DeadlineExceeded`, `CancellationError`.
    package func messages(
        in chatID: String, thread: String, until: Int64?, within patience: Duration
    ) async throws -> [ListedMessage] {
        var query = [
            "container_id_type": thread.isEmpty ? "chat" : "thread", "container_id": thread.isEmpty ? chatID : thread,
            "sort_type": "ByCreateTimeDesc", "page_size": "50",
        ]
        // Whole seconds: the one in which it was asked must be in it.
        if thread.isEmpty, let until { query["end_time"] = "\(until / 1000 + 1)" }
        return try await withDeadline(.after(patience), operation: "list_messages") { [query] in
            let json = try await call(
                "list_messages", "GET", Self.messages, query: query, for: .context,
                maxAnswerBytes: Self.maxListBytes)
            return json["data"]["items"].array.compactMap { ListedMessage($0) }
        }
    }

    /// Puts a reaction under a message; one that is there already is there once.
    /// - Returns: its id.
    /// - Throws: `OpenAPIError`, `CancellationError`.
    package func addReaction(_ emoji: String, to messageID: String) async throws -> String {
        let json = try await call(
            "add_reaction", "POST", Self.messages + [messageID, "reactions"],
            ["reaction_type": ["emoji_type": emoji]], for: .companion)
        return json["data"]["reaction_id"].string ?? ""
    }

    /// - Throws: `OpenAPIError`, `CancellationError`.
    package func removeReaction(_ reactionID: String, from messageID: String) async throws {
        _ = try await call(
            "remove_reaction", "DELETE", Self.messages + [messageID, "reactions", reactionID],
            for: .companion)
    }

    /// With a token; a token that is refused is renewed, and the call repeated, once.
    private func call(
        _ name: String, _ method: String, _ words: [String], query: [String: String] = [:],
        _ body: [String: any Sendable]? = nil, for purpose: RequestPurpose, maxAnswerBytes: Int = 1 << 20
    ) async throws -> JSONValue {
        let path: CallPath
        do throws(CallPath.Malformed) {
            path = try CallPath(words)
        } catch {
            throw OpenAPIError(
                call: name, code: nil, status: nil, message: "\(error)", logID: nil, remedy: .giveUp)
        }
        var parts = URLComponents(url: domain, resolvingAgainstBaseURL: false)
        if let below = parts?.percentEncodedPath {
            parts?.percentEncodedPath = (below.hasSuffix("/") ? String(below.dropLast()) : below) + path.text
        }
        if !query.isEmpty { parts?.queryItems = query.map { URLQueryItem(name: $0.key, value: $0.value) } }
        guard let url = parts?.url else {
            throw OpenAPIError(
                call: name, code: nil, status: nil, message: "the domain is no URL", logID: nil, remedy: .giveUp)
        }
        let token = try await tokens.token()
        do {
            return try await Self.exchange(
                name, http, method, url, ["Authorization": "Bearer \(token)"], body, purpose, appID,
                maxAnswerBytes)
        } catch let error as OpenAPIError where error.remedy == .renewToken {
            await tokens.drop(token)
            let renewed = try await tokens.token()
            return try await Self.exchange(
                name, http, method, url, ["Authorization": "Bearer \(renewed)"], body, purpose, appID,
                maxAnswerBytes)
        }
    }

    private static func exchange(
        _ name: String, _ http: HTTPExchange, _ method: String, _ url: URL, _ headers: [String: String],
        _ body: [String: any Sendable]?, _ purpose: RequestPurpose, _ appID: String,
        _ maxAnswerBytes: Int = 1 << 20
    ) async throws -> JSONValue {
        let answer: HTTPExchange.Answer
        do {
            answer = try await http.send(
                method, url, headers: headers, json: body, for: purpose, of: appID,
                maxAnswerBytes: maxAnswerBytes)
        } catch let error as CancellationError {
            throw error
        } catch {
            throw OpenAPIError(
                call: name, code: nil, status: nil, message: "\(error)", logID: nil, remedy: .retry(after: nil))
        }
        let wait = (answer.headers["x-ogw-ratelimit-reset"] ?? answer.headers["retry-after"]).flatMap { Int($0) }
        let retryAfter = wait.map { Duration.seconds(max(0, min($0, 3600))) }
        let logID = answer.headers["x-tt-logid"]
        guard let json = await parse(answer.body), let code = json["code"].integer else {
            let remedy = OpenAPIError.remedy(code: nil, status: answer.status, retryAfter: retryAfter)
            throw OpenAPIError(
                call: name, code: nil, status: answer.status,
                message: "\(answer.body.count) bytes that are no JSON answer", logID: logID, remedy: remedy)
        }
        guard code != 0 else { return json }
        let words = [OpenAPIError.advice(code: code), json["msg"].string.map { String($0.prefix(200)) }]
        throw OpenAPIError(
            call: name, code: code, status: answer.status, message: words.compactMap { $0 }.joined(separator: ": "),
            logID: logID, remedy: OpenAPIError.remedy(code: code, status: answer.status, retryAfter: retryAfter))
    }

    /// A long answer on a thread of its own: a history of some megabytes takes a tenth of a second.
    private static func parse(_ body: Data) async -> JSONValue? {
        guard body.count > 16 << 10 else { return JSONValue(parsing: body) }
        return await BlockingCall.run { JSONValue(parsing: body) }
    }
}
