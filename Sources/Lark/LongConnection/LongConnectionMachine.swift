/// The rules of one long connection after the handshake, without I/O: pings, pongs, parts, silence. Time comes in with
/// each input.
package struct LongConnectionMachine: Sendable {
    package struct Rules: Sendable, Equatable {
        /// A ping that has had no frame at all after it for this long ends the connection.
        package var pongPatience: Duration = .seconds(30)
        /// Stands behind the pings: no frame for this long ends the connection.
        package var readPatience: Duration = .seconds(360)

        package init() {}
    }

    package enum Action: Sendable, Equatable {
        case send(Frame)
        case deliver(Delivery)
        /// Bytes that are no frame, or a frame that is of no use: one log line, one counter.
        case drop(Dropped)
        /// The connection is dead though nobody said so.
        case endSilent(after: Duration)
    }

    package enum Dropped: Sendable, Equatable {
        case notAFrame(FrameError, bytes: Int)
        case textMessage(bytes: Int)
        case unknownMethod(Int32)
        case part(reason: String)
        case expiredParts(events: Int)

        /// What logs and metrics call it.
        package enum Name: String, CaseIterable, Sendable {
            case notAFrame = "not_a_frame"
            case textMessage = "text_message"
            case unknownMethod = "unknown_method"
            case part
            case expiredParts = "expired_parts"
        }

        package var kind: Name {
            switch self {
            case .notAFrame: .notAFrame
            case .textMessage: .textMessage
            case .unknownMethod: .unknownMethod
            case .part: .part
            case .expiredParts: .expiredParts
            }
        }

        package var name: String { kind.rawValue }
    }

    private let serviceID: Int32
    private let rules: Rules
    private(set) var config: ClientConfig
    private var parts = PartAssembler()
    private var lastReceived: Duration
    private var lastPing: Duration?
    /// When the first of the pings went out that have had no frame after them.
    private var unansweredSince: Duration?

    package init(serviceID: Int32, config: ClientConfig, rules: Rules = Rules(), now: Duration) {
        self.serviceID = serviceID
        self.config = config
        self.rules = rules
        lastReceived = now
    }

    /// The first ping goes out at once.
    package mutating func opened(now: Duration) -> [Action] {
        ping(now)
    }

    private mutating func ping(_ now: Duration) -> [Action] {
        lastPing = now
        unansweredSince = unansweredSince ?? now
        let header = Frame.Header(key: "type", value: "ping")
        return [.send(Frame(service: serviceID, method: Frame.Method.control, headers: [header]))]
    }

    /// A ping or pong of WebSocket itself: a sign of life, and nothing more.
    package mutating func received(now: Duration) {
        lastReceived = now
        unansweredSince = nil
    }

    package mutating func receivedText(bytes: Int, now: Duration) -> [Action] {
        received(now: now)
        return [.drop(.textMessage(bytes: bytes))]
    }

    package mutating func received(_ bytes: [UInt8], now: Duration) -> [Action] {
        received(now: now)
        let frame: Frame
        do throws(FrameError) {
            frame = try Frame(decoding: bytes)
        } catch {
            return [.drop(.notAFrame(error, bytes: bytes.count))]
        }
        switch frame.method {
        case Frame.Method.control: return control(frame)
        case Frame.Method.data: return data(frame, now)
        default: return [.drop(.unknownMethod(frame.method))]
        }
    }

    private mutating func control(_ frame: Frame) -> [Action] {
        switch frame.word("type") {
        case "pong":
            if let payload = frame.payload, let json = JSONValue(parsing: payload) { config.takeOver(json) }
            return []
        case "ping":
            var answer = frame
            answer.headers = frame.headers.map {
                $0.key.utf8.elementsEqual("type".utf8) ? Frame.Header(key: "type", value: "pong") : $0
            }
            return [.send(answer)]
        default:
            // A control frame of a kind that we don't know asks nothing of us.
            return []
        }
    }

    private mutating func data(_ frame: Frame, _ now: Duration) -> [Action] {
        let payload = frame.payload ?? []
        let sum = frame.header("sum").flatMap(Int.init) ?? 1
        guard sum > 1 else { return [.deliver(Delivery(frame: frame, payload: payload))] }
        let outcome = parts.add(
            payload, messageID: frame.header("message_id") ?? "", sum: sum,
            index: frame.header("seq").flatMap(Int.init) ?? -1, now: now)
        switch outcome {
        case .whole(let whole): return [.deliver(Delivery(frame: frame, payload: whole))]
        case .waiting: return []
        case .dropped(let reason): return [.drop(.part(reason: reason))]
        }
    }

    /// Called at `nextWakeUp`, or at any other time.
    package mutating func timePassed(now: Duration) -> [Action] {
        var actions: [Action] = []
        let expired = parts.dropExpired(now: now)
        if expired > 0 { actions.append(.drop(.expiredParts(events: expired))) }
        if silenceDeadline <= now { return actions + [.endSilent(after: now - lastReceived)] }
        if nextPing <= now { actions += ping(now) }
        return actions
    }

    private var nextPing: Duration { (lastPing ?? lastReceived) + config.pingInterval }

    private var silenceDeadline: Duration {
        // Counted from the first of them: a server that asks for a ping every few seconds would put it off for ever.
        let patience = lastReceived + rules.readPatience
        return unansweredSince.map { min($0 + rules.pongPatience, patience) } ?? patience
    }

    package var nextWakeUp: Duration {
        [nextPing, silenceDeadline, parts.nextExpiry].compactMap { $0 }.min() ?? nextPing
    }
}
