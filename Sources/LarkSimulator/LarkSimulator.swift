import AsyncRuntime
import Foundation
import HTTPServer
import Lark
import WebSocket

/// A Lark on loopback: endpoint bootstrap, long connection, tokens, messages and bot info, and a control interface.
/// It delivers again what was not acked 200, also on the next connection, and sends one message per uuid.
package actor LarkSimulator {
    package struct Timing: Sendable {
        /// How long an ack is waited for.
        package var ackTimeout: Duration = .seconds(3)
        /// After an ack that is not 200.
        package var retryDelay: Duration = .seconds(1)
        package var pingIntervalSeconds = 120
        /// Events beyond this come in parts.
        package var partBytes = 64 << 10
        /// How long a bootstrap takes.
        package var endpointDelay: Duration = .zero
        /// The parts of an event come in any order.
        package var shufflesParts = false

        package init() {}
    }

    /// What the next bootstraps answer instead of an endpoint.
    package enum EndpointFault: Sendable {
        case code(Int, message: String)
        case raw(status: Int, body: String)
    }

    private struct Pending {
        let app: SimulatedApp
        let payload: [UInt8]
        var state: DeliveryState
        /// Counts deliveries: a timer of an earlier one does nothing.
        var generation = 0
    }

    private var apps: [String: SimulatedApp]
    private let timing: Timing
    private var server: HTTPServer?
    private var host = "127.0.0.1"
    private var isSecure = false
    private var connections: [Int: SimulatorConnection] = [:]
    private var nextNumber = 1
    private var deliveries: [String: Pending] = [:]
    private var order: [String] = []
    private var sent: [SentMessage] = []
    /// When each of them came.
    package private(set) var sentAt: [ContinuousClock.Instant] = []
    /// Reactions that stand under messages.
    package private(set) var reactions: Set<String> = []
    private var reactionFaults: [APIFault] = []
    /// What cards were changed to, and when.
    package private(set) var updates: [(messageID: String, content: String)] = []
    package private(set) var updatedAt: [ContinuousClock.Instant] = []
    private var history: [HistoricMessage] = []
    private var historyFaults: [APIFault] = []
    /// `+om_1` where a reaction was put under om_1, `-om_1` where it was taken away, `sent` for each message of a bot.
    package private(set) var timeline: [String] = []
    private var sentByUUID: [String: String] = [:]
    private var endpointFaults: [EndpointFault] = []
    private var upgradeFaults: [[String: String]] = []
    private var messageFaults: [APIFault] = []
    private var acksToLose = 0
    private var handshakes = 0
    /// The most handshakes (from the bootstrap's request to the upgrade's) that were under way at once.
    package private(set) var mostHandshakes = 0
    private var tokens: [String: String] = [:]
    /// Rung at every change that a test may wait for.
    private var watchers: [Int: CheckedContinuation<Void, Never>] = [:]

    package init(apps: [SimulatedApp], timing: Timing = Timing()) {
        self.apps = Dictionary(apps.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        self.timing = timing
    }

    /// Listens; port 0 takes a free one.
    /// - Parameter tls: speaks https and wss.
    /// - Parameter name: how clients are to call it, where that is not the address.
    /// - Throws: `HTTPServerError`.
    package func start(
        host: String = "127.0.0.1", port: Int = 0, tls: TLSIdentity? = nil, name: String? = nil
    ) throws {
        self.host = name ?? host
        isSecure = tls != nil
        server = try HTTPServer(host: host, port: port, tls: tls) { [weak self] request in
            await self?.answer(request) ?? .text("gone\n", status: 503)
        }
    }

    /// What an installation names as its domain.
    package var url: String { "\(isSecure ? "https" : "http")://\(host):\(server?.port ?? 0)" }

    package func stop() async {
        let server = server
        self.server = nil
        await server?.stop()
    }

    // MARK: What people and tests do

    /// Has a person write a message: an event for the app.
    @discardableResult
    package func send(_ message: SimulatedMessage, to appID: String) async -> String {
        guard let app = apps[appID] else { return "" }
        let eventID = "ev_\(number())"
        let payload = SimulatedEvent.payload(message, app: app, eventID: eventID)
        return await deliver(payload, messageID: message.messageID, app: app)
    }

    /// Delivers any payload as an event.
    @discardableResult
    package func deliver(_ payload: [UInt8], messageID: String, to appID: String) async -> String {
        guard let app = apps[appID] else { return "" }
        return await deliver(payload, messageID: messageID, app: app)
    }

    /// Delivers the same message once more, as the platform does at times.
    package func repeatDelivery(of messageID: String) async {
        guard let old = order.compactMap({ deliveries[$0] }).first(where: { $0.state.messageID == messageID }) else {
            return
        }
        await deliver(old.payload, messageID: messageID, app: old.app)
    }

    /// Sends bytes as one binary WebSocket message on every connection.
    package func sendRaw(_ bytes: [UInt8]) async {
        for connection in connections.values { await connection.send(bytes) }
    }

    package func sendRawText(_ text: String) async {
        for connection in connections.values { await connection.sendText(text) }
    }

    package func cutConnections(reset: Bool = false) async {
        for connection in connections.values { await connection.cut(reset: reset) }
    }

    package func failEndpoint(_ faults: [EndpointFault]) {
        endpointFaults += faults
    }

    /// The next upgrades are refused, with these headers.
    package func refuseUpgrades(_ headers: [[String: String]]) {
        upgradeFaults += headers
    }

    /// The next calls that send a message get these answers.
    package func failMessages(_ faults: [(status: Int, body: String)]) {
        failMessages(faults.map { APIFault(status: $0.status, body: $0.body) })
    }

    /// What stands in chats for the list call.
    package func addHistory(_ messages: [HistoricMessage]) {
        history += messages
    }

    /// The next calls that list messages get these answers.
    package func failHistory(_ faults: [APIFault]) {
        historyFaults += faults
    }

    /// The next calls about reactions get these answers.
    package func failReactions(_ faults: [(status: Int, body: String)]) {
        reactionFaults += faults.map { APIFault(status: $0.status, body: $0.body) }
    }

    package func failMessages(_ faults: [APIFault]) {
        messageFaults += faults
    }

    /// The next acks get lost on the way.
    package func loseAcks(_ count: Int) {
        acksToLose += count
    }

    /// Every connection that is open now goes on as if its peer had vanished without a word.
    package func fallSilent() async {
        for connection in connections.values { await connection.fallSilent() }
    }

    package func expireTokens() {
        tokens = [:]
    }

    package var sentMessages: [SentMessage] { sent }
    package var connectionCount: Int { connections.count }

    /// Deliveries that nobody has acked 200 yet.
    package var unsettledCount: Int { deliveries.values.count { !$0.state.isSettled } }

    package var deliveryStates: [DeliveryState] { order.compactMap { deliveries[$0]?.state } }

    package func states(of messageID: String) -> [DeliveryState] {
        deliveryStates.filter { $0.messageID == messageID }
    }

    /// Waits until `condition` holds, which is looked at after every change.
    /// - Returns: false when it does not hold by the deadline.
    package func wait(until deadline: Deadline, for condition: @Sendable (isolated LarkSimulator) -> Bool) async -> Bool
    {
        while !condition(self) {
            guard !deadline.hasPassed, !Task.isCancelled else { return false }
            let id = number()
            let timer = Task {
                try? await ContinuousClock().sleep(until: deadline.instant, tolerance: nil)
                self.wake(id)
            }
            await withTaskCancellationHandler {
                await withCheckedContinuation { watchers[id] = $0 }
            } onCancel: {
                Task { await self.wake(id) }
            }
            timer.cancel()
        }
        return true
    }

    private func wake(_ id: Int) {
        watchers.removeValue(forKey: id)?.resume()
    }

    private func changed() {
        let waiting = watchers
        watchers = [:]
        for watcher in waiting.values { watcher.resume() }
    }

    private func number() -> Int {
        nextNumber += 1
        return nextNumber
    }

    // MARK: Delivering

    @discardableResult
    private func deliver(_ payload: [UInt8], messageID: String, app: SimulatedApp) async -> String {
        let id = "d\(number())"
        let state = DeliveryState(id: id, messageID: messageID, attempts: 0, acks: [])
        deliveries[id] = Pending(app: app, payload: payload, state: state)
        order.append(id)
        await attempt(id)
        return id
    }

    /// To one of the app's connections, at random. Without one it waits for the next.
    private func attempt(_ id: String) async {
        guard var pending = deliveries[id], !pending.state.isSettled,
            let connection = connections.values.filter({ $0.appID == pending.app.id }).randomElement()
        else { return }
        pending.generation += 1
        pending.state.attempts += 1
        deliveries[id] = pending
        let generation = pending.generation
        var place = 0
        for frame in frames(id, pending.payload) { place = await connection.send(frame.encoded()) }
        deliveries[id]?.state.written.append(place)
        Task {
            try? await Task.sleep(for: timing.ackTimeout)
            await self.again(id, generation)
        }
        changed()
    }

    private func again(_ id: String, _ generation: Int) async {
        guard let pending = deliveries[id], pending.generation == generation else { return }
        await attempt(id)
    }

    private func frames(_ id: String, _ payload: [UInt8]) -> [Frame] {
        let parts = stride(from: 0, to: max(1, payload.count), by: timing.partBytes).map {
            Array(payload[$0..<min(payload.count, $0 + timing.partBytes)])
        }
        let whole = Array(parts.enumerated())
        return (timing.shufflesParts ? whole.shuffled() : whole).map { index, part in
            let headers = [
                ("type", "event"), ("message_id", id), ("sum", "\(parts.count)"), ("seq", "\(index)"),
                ("trace_id", "trace-\(id)"), ("timestamp", "\(Int(Date().timeIntervalSince1970 * 1000))"),
            ]
            return Frame(
                sequenceID: UInt64(index), logID: 1, service: 33_554_678, method: Frame.Method.data,
                headers: headers.map { Frame.Header(key: $0.0, value: $0.1) }, payload: part)
        }
    }

    private func received(_ bytes: [UInt8], on connection: SimulatorConnection) async {
        guard let frame = try? Frame(decoding: bytes) else { return }
        if frame.method == Frame.Method.control {
            guard frame.header("type") == "ping" else { return }
            var pong = frame
            pong.headers = [Frame.Header(key: "type", value: "pong")]
            pong.payload = Array(#"{"PingInterval":\#(timing.pingIntervalSeconds)}"#.utf8)
            await connection.send(pong.encoded())
            return
        }
        guard let id = frame.header("message_id"), var pending = deliveries[id],
            let code = frame.payload.flatMap({ JSONValue(parsing: $0) })?["code"].integer
        else { return }
        guard acksToLose == 0 else {
            acksToLose -= 1
            return
        }
        pending.state.acks.append(code)
        // An answer ends the wait for one.
        pending.generation += 1
        deliveries[id] = pending
        let generation = pending.generation
        changed()
        guard code != 200 else { return }
        Task {
            try? await Task.sleep(for: timing.retryDelay)
            await self.again(id, generation)
        }
    }

    private func connected(_ socket: UpgradedSocket, appID: String) {
        let connection = SimulatorConnection(appID: appID, socket: socket)
        let id = number()
        connections[id] = connection
        changed()
        Task {
            await connection.run { bytes in await self.received(bytes, on: connection) }
            self.disconnected(id)
        }
        let waiting = order.filter { deliveries[$0]?.app.id == appID && deliveries[$0]?.state.isSettled == false }
        Task { for delivery in waiting { await self.attempt(delivery) } }
    }

    private func disconnected(_ id: Int) {
        connections[id] = nil
        changed()
    }

    // MARK: HTTP

    private func answer(_ request: HTTPRequest) async -> HTTPResponse {
        let body = JSONValue(parsing: request.body)
        let path = request.path.split(separator: "/").map(String.init)
        switch (request.method, path.first, path.dropFirst().first) {
        case ("POST", "callback", "ws"):
            handshakes += 1
            mostHandshakes = max(mostHandshakes, handshakes)
            if timing.endpointDelay > .zero { try? await Task.sleep(for: timing.endpointDelay) }
            return bootstrap(body)
        case ("GET", "ws", _): return upgrade(request)
        case (_, "open-apis", _): return await openAPI(request, Array(path.dropFirst()), body)
        case (_, "control", let call?): return await control(request.method, call, body)
        default: return .text("no such page\n", status: 404)
        }
    }

    private func bootstrap(_ body: JSONValue?) -> HTTPResponse {
        if !endpointFaults.isEmpty {
            handshakes -= 1
            defer { changed() }
            switch endpointFaults.removeFirst() {
            case .code(let code, let message): return Self.json(["code": code, "msg": message])
            case .raw(let status, let body): return .text(body, status: status)
            }
        }
        guard let app = body?["AppID"].string.flatMap({ apps[$0] }), app.secret == body?["AppSecret"].string else {
            handshakes -= 1
            return Self.json(["code": 514, "msg": "authentication failed"])
        }
        let ticket = "ticket-\(number())"
        let url =
            "\(isSecure ? "wss" : "ws")://\(host):\(server?.port ?? 0)/ws?device_id=1&service_id=33554678&app=\(app.id)&ticket=\(ticket)"
        let config = [
            "ReconnectCount": -1, "ReconnectInterval": 120, "ReconnectNonce": 30,
            "PingInterval": timing.pingIntervalSeconds,
        ]
        return Self.json([
            "code": 0, "msg": "", "data": ["URL": url, "ClientConfig": config] as [String: any Sendable],
        ])
    }

    private func upgrade(_ request: HTTPRequest) -> HTTPResponse {
        handshakes = max(0, handshakes - 1)
        guard upgradeFaults.isEmpty else {
            return HTTPResponse(status: 403, headers: upgradeFaults.removeFirst())
        }
        guard let key = request.headers["sec-websocket-key"], let appID = request.query["app"], apps[appID] != nil
        else {
            return HTTPResponse(status: 403, headers: ["Handshake-Status": "403", "Handshake-Msg": "forbidden"])
        }
        let headers = ["Upgrade": "websocket", "Sec-WebSocket-Accept": Handshake.acceptValue(forKey: key)]
        return HTTPResponse(status: 101, headers: headers) { [weak self] socket in
            Task { await self?.connected(socket, appID: appID) ?? socket.close() }
        }
    }

    private func openAPI(_ request: HTTPRequest, _ path: [String], _ body: JSONValue?) async -> HTTPResponse {
        if path == ["auth", "v3", "tenant_access_token", "internal"] { return token(body) }
        let token = request.headers["authorization"]?.dropFirst("Bearer ".count).description ?? ""
        guard let appID = tokens[token], let app = apps[appID] else {
            return Self.json(["code": 99_991_663, "msg": "token invalid"], status: 400)
        }
        if path == ["bot", "v3", "info"] {
            let bot: [String: any Sendable] = ["open_id": app.botOpenID, "app_name": "Bot", "activate_status": 2]
            return Self.json(["code": 0, "msg": "ok", "bot": bot])
        }
        if path.starts(with: ["contact", "v3", "users"]), path.count == 4 {
            let user: [String: any Sendable] = ["union_id": path[3] == app.botOpenID ? app.botUnionID : "on_\(path[3])"]
            return Self.json(["code": 0, "msg": "ok", "data": ["user": user]])
        }
        if path.count >= 5, path.starts(with: ["im", "v1", "messages"]), path[4] == "reactions" {
            return react(request.method, message: path[3], reaction: path.count > 5 ? path[5] : nil, by: app)
        }
        if request.method == "PATCH", path.starts(with: ["im", "v1", "messages"]), path.count == 4 {
            return update(path[3], body?["content"].string ?? "")
        }
        if request.method == "GET", path == ["im", "v1", "messages"] { return await list(request.query) }
        guard request.method == "POST", path.starts(with: ["im", "v1", "messages"]), let body else {
            return Self.json(["code": 404, "msg": "the simulator does not know this call"], status: 404)
        }
        let replyTo = path.count == 5 && path[4] == "reply" ? path[3] : nil
        if !messageFaults.isEmpty {
            let fault = messageFaults.removeFirst()
            changed()
            if fault.isTaken { _ = store(body, request.query["receive_id_type"] ?? "", replyTo: replyTo, app) }
            if fault.delay > .zero { try? await Task.sleep(for: fault.delay) }
            var answer = HTTPResponse.text(fault.body, status: fault.status)
            answer.headers.merge(fault.headers) { $1 }
            return answer
        }
        return store(body, request.query["receive_id_type"] ?? "", replyTo: replyTo, app)
    }

    private func update(_ messageID: String, _ content: String) -> HTTPResponse {
        guard sent.contains(where: { $0.messageID == messageID && $0.type == "interactive" }) else {
            return Self.json(["code": 230_001, "msg": "no such card"], status: 400)
        }
        updates.append((messageID, content))
        updatedAt.append(.now)
        changed()
        return Self.json(["code": 0, "msg": "success"])
    }

    private func list(_ query: [String: String]) async -> HTTPResponse {
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

    private func react(_ method: String, message: String, reaction: String?, by app: SimulatedApp) -> HTTPResponse {
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

    private func token(_ body: JSONValue?) -> HTTPResponse {
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

    private func store(_ body: JSONValue, _ type: String, replyTo: String?, _ app: SimulatedApp) -> HTTPResponse {
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
            changed()
        }
        return Self.json(["code": 0, "msg": "success", "data": ["message_id": messageID]])
    }

    static func json(_ object: [String: any Sendable], status: Int = 200) -> HTTPResponse {
        .text(JSONText.encode(object), status: status, type: "application/json; charset=utf-8")
    }

    // MARK: Control

    /// `POST /control/messages`, `GET /control/sent`, `GET /control/deliveries`, `POST /control/cut`.
    private func control(_ method: String, _ call: String, _ body: JSONValue?) async -> HTTPResponse {
        switch (method, call) {
        case ("POST", "messages"):
            guard let body, let text = body["text"].string else {
                return .text("POST a JSON object with text, and chat_id, chat_type, sender, thread_id\n", status: 400)
            }
            let appID = body["app_id"].string ?? apps.keys.sorted().first ?? ""
            guard apps[appID] != nil else { return .text("no app \(appID)\n", status: 404) }
            let message = SimulatedMessage(
                chatID: body["chat_id"].string ?? "oc_demo", chatType: body["chat_type"].string ?? "p2p",
                sender: body["sender"].string ?? "ou_you", text: text, threadID: body["thread_id"].string,
                messageID: body["message_id"].string ?? SimulatedMessage.freshID(),
                mentionsBot: body["mention_bot"].boolean ?? false)
            await send(message, to: appID)
            return Self.json(["message_id": message.messageID])
        case ("GET", "sent"):
            return Self.json(["messages": sent.map(Self.describe)])
        case ("GET", "deliveries"):
            return Self.json([
                "deliveries": deliveryStates.map { state -> [String: any Sendable] in
                    ["message_id": state.messageID, "attempts": state.attempts, "acks": state.acks]
                }
            ])
        case ("POST", "cut"):
            await cutConnections(reset: body?["reset"].boolean ?? false)
            return Self.json(["cut": true])
        default:
            return .text("no such control\n", status: 404)
        }
    }

    private static func describe(_ message: SentMessage) -> [String: any Sendable] {
        [
            "message_id": message.messageID, "app_id": message.appID, "receive_id_type": message.receiverType,
            "receive_id": message.receiver, "reply_to": message.replyTo ?? "", "reply_in_thread": message.inThread,
            "msg_type": message.type, "content": message.content, "uuid": message.uuid,
        ]
    }
}
