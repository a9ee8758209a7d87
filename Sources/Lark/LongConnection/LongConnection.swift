import AsyncRuntime
import WebSocket

/// One long connection, from its bootstrap to its end: performs what `LongConnectionMachine` decides.
package actor LongConnection {
    /// Why it ended.
    package enum End: Sendable, CustomStringConvertible {
        /// The server closed it as it often does; nothing is wrong.
        case normal(String)
        case failed(String)
        case stopped

        package var description: String {
            switch self {
            case .normal(let reason), .failed(let reason): reason
            case .stopped: "stopped"
            }
        }
    }

    private let socket: any WebSocketConnection
    private var machine: LongConnectionMachine
    private let start = ContinuousClock.now
    private let receive: @Sendable (Delivery, LongConnection) async -> Void
    private let dropped: @Sendable (LongConnectionMachine.Dropped) -> Void
    private var isReceiving = true
    /// The configuration and parts can move the next wake-up forward.
    private let wakeUp = Doorbell()
    private var sleepsUntil: Duration = .zero
    private var end: End?

    private init(
        socket: any WebSocketConnection, endpoint: Endpoint, rules: LongConnectionMachine.Rules,
        receive: @escaping @Sendable (Delivery, LongConnection) async -> Void,
        dropped: @escaping @Sendable (LongConnectionMachine.Dropped) -> Void
    ) {
        self.socket = socket
        self.receive = receive
        self.dropped = dropped
        machine = LongConnectionMachine(
            serviceID: endpoint.serviceID, config: endpoint.config, rules: rules, now: .zero)
    }

    /// Connects.
    /// - Parameter receive: called for one delivery after another, in the order of arrival; the next frame is read when
    ///   it returns, so it must not wait for storage. The ack goes through `acknowledge`.
    /// - Parameter dropped: told of each frame that was of no use.
    /// - Throws: `ConnectFailure`, `CancellationError`.
    package static func connect(
        to endpoint: Endpoint, transport: any WebSocketTransport,
        settings: LongConnectionSettings = LongConnectionSettings(),
        receive: @escaping @Sendable (Delivery, LongConnection) async -> Void,
        dropped: @escaping @Sendable (LongConnectionMachine.Dropped) -> Void
    ) async throws -> LongConnection {
        do {
            var options = settings.webSocket
            options.mustBePublic = endpoint.mustBePublic
            let socket = try await transport.connect(
                to: endpoint.url, options: options, deadline: .after(settings.handshakeTimeout))
            return LongConnection(
                socket: socket, endpoint: endpoint, rules: settings.rules, receive: receive, dropped: dropped)
        } catch let error as CancellationError {
            throw error
        } catch let error as HandshakeError {
            throw Self.failure(error)
        } catch WebSocketError.unreachable(let failure) where failure.cause == .refusedHere {
            throw ConnectFailure.unsafe(reason: "the endpoint: \(failure.words)")
        } catch {
            throw ConnectFailure.retryable(reason: "\(error)")
        }
    }

    /// A refused upgrade carries the platform's reasons in its headers.
    static func failure(_ error: HandshakeError) -> ConnectFailure {
        let words = error.headers["handshake-msg"].map { ": \($0.prefix(200))" } ?? ""
        let detail = error.headers["handshake-autherrcode"].flatMap { Int($0) }
        switch error.headers["handshake-status"].flatMap({ Int($0) }) {
        case 403:
            return .refused(code: 403, reason: "the platform forbids this connection\(words)")
        case 514 where detail == ConnectFailure.tooManyConnections:
            return .refused(code: ConnectFailure.tooManyConnections, reason: ConnectFailure.tooManyConnectionsReason)
        default:
            return .retryable(reason: "\(error)\(words)")
        }
    }

    /// Runs until the connection ends. When the task is cancelled it says goodbye and returns `.stopped`.
    package func run() async -> End {
        await perform(machine.opened(now: now))
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.read() }
            group.addTask { await self.keepTime() }
            await group.next()
            group.cancelAll()
        }
        await socket.close(.goingAway, reason: "")
        return end ?? .stopped
    }

    /// What the platform asked for last.
    package var config: ClientConfig { machine.config }

    /// From now on nothing that comes in is delivered; acks still go out. The platform delivers the rest again.
    package func stopReceiving() {
        isReceiving = false
    }

    /// Sends the ack; a connection that has ended meanwhile needs none: the platform delivers the event again.
    package func acknowledge(_ delivery: Delivery, _ code: AckCode, handledIn duration: Duration) async {
        let frame = delivery.acknowledgement(code, handledIn: duration)
        try? await socket.send(.binary(frame.encoded()))
    }

    private var now: Duration { start.duration(to: .now) }

    private func read() async {
        do {
            while true {
                let event = try await socket.receive()
                guard isReceiving else { continue }
                switch event {
                case .message(.binary(let bytes)): await perform(machine.received(bytes, now: now))
                case .message(.text(let text)): await perform(machine.receivedText(bytes: text.utf8.count, now: now))
                case .ping, .pong, .closed, .failed: machine.received(now: now)
                }
                if machine.nextWakeUp < sleepsUntil { wakeUp.ring() }
                guard end == nil else { return }
            }
        } catch {
            finish(Self.end(error))
        }
    }

    /// A server that closes with 1000 or 1001 does what servers do, whether a read or a write finds out first.
    static func end(_ error: any Error) -> End {
        switch error {
        case WebSocketError.closed(let code, _) where [.normal, .goingAway].contains(code): .normal("\(error)")
        case is CancellationError: .stopped
        default: .failed("\(error)")
        }
    }

    private func keepTime() async {
        while !Task.isCancelled, end == nil {
            sleepsUntil = machine.nextWakeUp
            await wakeUp.wait(atMost: sleepsUntil - now)
            await perform(machine.timePassed(now: now))
        }
    }

    private func perform(_ actions: [LongConnectionMachine.Action]) async {
        for action in actions {
            switch action {
            case .send(let frame):
                do {
                    try await socket.send(.binary(frame.encoded()))
                } catch {
                    finish(Self.end(error))
                }
            case .deliver(let delivery): await receive(delivery, self)
            case .drop(let frame): dropped(frame)
            case .endSilent(let silence):
                finish(.failed("nothing came for \(silence.components.seconds) s after a ping"))
            }
        }
    }

    private func finish(_ reason: End) {
        guard end == nil else { return }
        // Who cancels us decides that we stopped, whatever the socket says about it.
        end = Task.isCancelled ? .stopped : reason
        wakeUp.ring()
    }
}
