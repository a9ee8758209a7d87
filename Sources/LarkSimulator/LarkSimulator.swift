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

    /// What can be made to hang.
    package enum Call: Hashable, Sendable {
        /// That sends a message.
        case message
        case reaction, history, botInfo, token, bootstrap
    }

    struct Pending {
        let app: SimulatedApp
        let payload: [UInt8]
        var state: DeliveryState
        /// Counts deliveries: a timer of an earlier one does nothing.
        var generation = 0
    }

    var apps: [String: SimulatedApp]
    let timing: Timing
    let remembers: Int
    var server: HTTPServer?
    var host = "127.0.0.1"
    var isSecure = false
    var connections: [Int: SimulatorConnection] = [:]
    var nextNumber = 1
    var deliveries: [String: Pending] = [:]
    var order: [String] = []
    var sent: [SentMessage] = []
    /// When each of them came.
    package internal(set) var sentAt: [ContinuousClock.Instant] = []
    /// Reactions that stand under messages.
    package internal(set) var reactions: Set<String> = []
    var reactionFaults: [APIFault] = []
    /// What cards were changed to, and when.
    package internal(set) var updates: [(messageID: String, content: String)] = []
    package internal(set) var updatedAt: [ContinuousClock.Instant] = []
    var history: [HistoricMessage] = []
    var historyFaults: [APIFault] = []
    /// `+om_1` where a reaction was put under om_1, `-om_1` where it was taken away, `sent` for each message of a bot.
    package internal(set) var timeline: [String] = []
    var sentByUUID: [String: String] = [:]
    var endpointFaults: [EndpointFault] = []
    var upgradeFaults: [[String: String]] = []
    var messageFaults: [APIFault] = []
    var botInfoFault: APIFault?
    /// Of people, by open_id: what the app may know of them.
    var names: [String: String] = [:]
    var acksToLose = 0
    var hangingCalls: Set<Call> = []
    /// How many calls of a kind have hung so far.
    package internal(set) var hungCalls: [Call: Int] = [:]
    let endOfHanging = AsyncEvent()
    var handshakes = 0
    /// The most handshakes (from the bootstrap's request to the upgrade's) that were under way at once.
    package internal(set) var mostHandshakes = 0
    var tokens: [String: String] = [:]
    /// Rung at every change that a test may wait for.
    var watchers: [Int: CheckedContinuation<Void, Never>] = [:]

    /// - Parameter remembers: about how many deliveries and sent messages it can tell of, the newest; tests want all.
    package init(apps: [SimulatedApp], timing: Timing = Timing(), remembers: Int = .max) {
        self.remembers = max(1, remembers)
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
        endOfHanging.set()
        await server?.stop()
    }

    // MARK: What people and the platform do

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

    /// What stands in chats for the list call.
    package func addHistory(_ messages: [HistoricMessage]) {
        history += messages
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

    // MARK: What has happened

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

    func wake(_ id: Int) {
        watchers.removeValue(forKey: id)?.resume()
    }

    func changed() {
        let waiting = watchers
        watchers = [:]
        for watcher in waiting.values { watcher.resume() }
    }

    func number() -> Int {
        nextNumber += 1
        return nextNumber
    }

    // MARK: HTTP

    func answer(_ request: HTTPRequest) async -> HTTPResponse {
        let body = JSONValue(parsing: request.body)
        let path = request.path.split(separator: "/").map(String.init)
        switch (request.method, path.first, path.dropFirst().first) {
        case ("POST", "callback", "ws"):
            handshakes += 1
            mostHandshakes = max(mostHandshakes, handshakes)
            if timing.endpointDelay > .zero { try? await Task.sleep(for: timing.endpointDelay) }
            await hangIfAsked(.bootstrap)
            return bootstrap(body)
        case ("GET", "ws", _): return upgrade(request)
        case (_, "open-apis", _): return await openAPI(request, Array(path.dropFirst()), body)
        case (_, "control", let call?): return await control(request.method, call, body)
        default: return .text("no such page\n", status: 404)
        }
    }

    static func json(_ object: [String: any Sendable], status: Int = 200) -> HTTPResponse {
        .text(JSONText.encode(object), status: status, type: "application/json; charset=utf-8")
    }
}
