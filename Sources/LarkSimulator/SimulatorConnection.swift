import HTTPServer
import struct Synchronization.Atomic
import WebSocket

/// The platform's end of one long connection.
actor SimulatorConnection {
    nonisolated let appID: String
    private let socket: UpgradedSocket
    private var machine = WebSocketProtocol(role: .server)
    private var isWriting = false
    private var isSilent = false
    private var queued: [UInt8] = []

    init(appID: String, socket: UpgradedSocket) {
        self.appID = appID
        self.socket = socket
    }

    /// Reads until the connection ends.
    func run(_ receive: @Sendable ([UInt8]) async -> Void) async {
        while true {
            let bytes = await socket.read()
            guard !bytes.isEmpty else { break }
            for event in machine.receive(bytes) {
                switch event {
                case .message(.binary(let frame)): if !isSilent { await receive(frame) }
                case .message(.text), .ping, .pong: break
                case .closed, .failed:
                    await flush()
                    socket.close()
                    return
                }
            }
            await flush()
        }
        socket.close()
    }

    private static let framesWritten = Atomic(0)

    /// - Returns: the frame's place in the order in which frames stand on the wire.
    @discardableResult
    func send(_ bytes: [UInt8]) async -> Int {
        machine.send(.binary(bytes))
        let place = Self.framesWritten.add(1, ordering: .relaxed).newValue
        await flush()
        return place
    }

    /// From now on nothing comes and nothing is answered, and nobody says so.
    func fallSilent() {
        isSilent = true
    }

    func sendText(_ text: String) async {
        machine.send(.text(text))
        await flush()
    }

    /// A clean close, or a TCP reset.
    func cut(reset: Bool) async {
        guard !reset else {
            socket.resetOnClose()
            return socket.close()
        }
        machine.close(.goingAway, reason: "simulated cut")
        await flush()
        // `run` ends with the peer's answer. Closing at once would be a reset, if bytes of the peer were unread.
        Task { [socket] in
            try? await Task.sleep(for: .seconds(2))
            socket.close()
        }
    }

    private func flush() async {
        let output = machine.takeOutput()
        guard !isSilent else { return }
        queued += output
        guard !isWriting else { return }
        isWriting = true
        defer { isWriting = false }
        while !queued.isEmpty {
            let bytes = queued
            queued = []
            guard await socket.write(bytes) else { return }
        }
    }
}
