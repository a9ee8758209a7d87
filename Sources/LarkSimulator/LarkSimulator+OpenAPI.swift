import HTTPServer
import Lark

/// Tokens, messages, cards, reactions and what stood in a chat.
extension LarkSimulator {
    func openAPI(_ request: HTTPRequest, _ path: [String], _ body: JSONValue?) async -> HTTPResponse {
        if path == ["auth", "v3", "tenant_access_token", "internal"] {
            await hangIfAsked(.token)
            return token(body)
        }
        let token = request.headers["authorization"]?.dropFirst("Bearer ".count).description ?? ""
        guard let appID = tokens[token], let app = apps[appID] else {
            return Self.json(["code": 99_991_663, "msg": "token invalid"], status: 400)
        }
        if path == ["bot", "v3", "info"] {
            await hangIfAsked(.botInfo)
            if let botInfoFault { return .text(botInfoFault.body, status: botInfoFault.status) }
            let bot: [String: any Sendable] = ["open_id": app.botOpenID, "app_name": "Bot", "activate_status": 2]
            return Self.json(["code": 0, "msg": "ok", "bot": bot])
        }
        if path.starts(with: ["contact", "v3", "users"]), path.count == 4 {
            var user: [String: any Sendable] = ["union_id": path[3] == app.botOpenID ? app.botUnionID : "on_\(path[3])"]
            user["name"] = names[path[3]]
            return Self.json(["code": 0, "msg": "ok", "data": ["user": user]])
        }
        if path.count >= 5, path.starts(with: ["im", "v1", "messages"]), path[4] == "reactions" {
            await hangIfAsked(.reaction)
            return react(request.method, message: path[3], reaction: path.count > 5 ? path[5] : nil, by: app)
        }
        if request.method == "PATCH", path.starts(with: ["im", "v1", "messages"]), path.count == 4 {
            return update(path[3], body?["content"].string ?? "")
        }
        if request.method == "GET", path == ["im", "v1", "messages"] {
            await hangIfAsked(.history)
            return await list(request.query)
        }
        guard request.method == "POST", path.starts(with: ["im", "v1", "messages"]), let body else {
            return Self.json(["code": 404, "msg": "the simulator does not know this call"], status: 404)
        }
        await hangIfAsked(.message)
        let replyTo = path.count == 5 && path[4] == "reply" ? path[3] : nil
        if !messageFaults.isEmpty {
            let fault = messageFaults.removeFirst()
            changed()
            if fault.isTaken { _ = store(body, request.query["receive_id_type"] ?? "", replyTo: replyTo, app) }
            if fault.delay > .zero { try? await Task.sleep(for: fault.delay) }
            var answer = HTTPResponse.text(fault.body, status: fault.status)
            answer.headers.merge(fault.headers) { $1 }
            answer.isCutOff = fault.isCutOff
            return answer
        }
        return store(body, request.query["receive_id_type"] ?? "", replyTo: replyTo, app)
    }

    func update(_ messageID: String, _ content: String) -> HTTPResponse {
        guard sent.contains(where: { $0.messageID == messageID && $0.type == "interactive" }) else {
            return Self.json(["code": 230_001, "msg": "no such card"], status: 400)
        }
        updates.append((messageID, content))
        updatedAt.append(.now)
        changed()
        return Self.json(["code": 0, "msg": "success"])
    }

    func list(_ query: [String: String]) async -> HTTPResponse {
        if !historyFaults.isEmpty {
            let fault = historyFaults.removeFirst()
            if fault.delay > .zero { try? await Task.sleep(for: fault.delay) }
            return .text(fault.body, status: fault.status)
        }
        let isThread = query["container_id_type"] == "thread"
        let end = query["end_time"].flatMap { Int64($0) } ?? .max
        let found = history.filter { message in
            (isThread ? message.threadID : message.chatID) == query["container_id"]
                && (isThread || message.sentAtMilliseconds / 1000 <= end)
        }
        let newest = found.sorted { $0.sentAtMilliseconds > $1.sentAtMilliseconds }
        let items = newest.prefix(query["page_size"].flatMap { Int($0) } ?? 20).map(\.json)
        let data: [String: any Sendable] = ["items": items, "has_more": false]
        return Self.json(["code": 0, "msg": "success", "data": data])
    }

    func react(_ method: String, message: String, reaction: String?, by app: SimulatedApp) -> HTTPResponse {
        if !reactionFaults.isEmpty {
            let fault = reactionFaults.removeFirst()
            changed()
            return .text(fault.body, status: fault.status)
        }
        let id = "\(app.id).\(message)"
        switch (method, reaction) {
        case ("POST", nil):
            if reactions.insert(id).inserted { timeline.append("+\(message)") }
            changed()
            return Self.json(["code": 0, "msg": "success", "data": ["reaction_id": id]])
        case ("DELETE", id):
            guard reactions.remove(id) != nil else { return Self.json(["code": 231_003, "msg": "no such reaction"]) }
            timeline.append("-\(message)")
            changed()
            return Self.json(["code": 0, "msg": "success"])
        default:
            return Self.json(["code": 231_003, "msg": "no such reaction"], status: 400)
        }
    }

    func token(_ body: JSONValue?) -> HTTPResponse {
        guard let app = body?["app_id"].string.flatMap({ apps[$0] }) else {
            return Self.json(["code": 10_003, "msg": "invalid app_id"])
        }
        guard app.secret == body?["app_secret"].string else {
            return Self.json(["code": 10_014, "msg": "app secret invalid"])
        }
        let token = "t-\(app.id)-\(number())"
        tokens[token] = app.id
        return Self.json(["code": 0, "msg": "ok", "tenant_access_token": token, "expire": 7200])
    }

    func store(_ body: JSONValue, _ type: String, replyTo: String?, _ app: SimulatedApp) -> HTTPResponse {
        let uuid = body["uuid"].string ?? ""
        let receiver = body["receive_id"].string ?? ""
        let key = "\(app.id)/\(replyTo ?? receiver)/\(uuid)"
        let known = uuid.isEmpty ? nil : sentByUUID[key]
        let messageID = known ?? SimulatedMessage.freshID()
        if known == nil {
            sentByUUID[key] = messageID
            sentAt.append(.now)
            timeline.append("sent")
            sent.append(
                SentMessage(
                    messageID: messageID, appID: app.id, receiverType: type, receiver: receiver, replyTo: replyTo,
                    inThread: body["reply_in_thread"].boolean ?? false, type: body["msg_type"].string ?? "",
                    content: body["content"].string ?? "", uuid: uuid))
            forgetOld()
            changed()
        }
        return Self.json(["code": 0, "msg": "success", "data": ["message_id": messageID]])
    }
}
