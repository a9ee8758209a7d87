import Foundation
import HTTPServer
import Lark
import WebSocket

/// The endpoint, the upgrade, and the events that are delivered until they are acked.
extension LarkSimulator {
    func bootstrap(_ body: JSONValue?) -> HTTPResponse {
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

    func upgrade(_ request: HTTPRequest) -> HTTPResponse {
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

    // MARK: Delivering

    @discardableResult
    func deliver(_ payload: [UInt8], messageID: String, app: SimulatedApp) async -> String {
        let id = "d\(number())"
        let state = DeliveryState(id: id, messageID: messageID, attempts: 0, acks: [])
        deliveries[id] = Pending(app: app, payload: payload, state: state)
        order.append(id)
        forgetOld()
        await attempt(id)
        return id
    }

    /// To one of the app's connections, at random. Without one it waits for the next.
    func attempt(_ id: String) async {
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

    func again(_ id: String, _ generation: Int) async {
        guard let pending = deliveries[id], pending.generation == generation else { return }
        await attempt(id)
    }

    func frames(_ id: String, _ payload: [UInt8]) -> [Frame] {
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

    func received(_ bytes: [UInt8], on connection: SimulatorConnection) async {
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

    func connected(_ socket: UpgradedSocket, appID: String) {
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

    func disconnected(_ id: Int) {
        connections[id] = nil
        changed()
    }
}
