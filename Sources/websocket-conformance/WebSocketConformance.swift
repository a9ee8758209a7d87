import AsyncRuntime
import Foundation
import WebSocket

/// The client of the Autobahn WebSocket test suite's fuzzing server: it echoes, over the transport that the gateway
/// uses, what each case sends. scripts/conformance runs it.
@main
enum WebSocketConformance {
    static let usage = """
        usage: websocket-conformance --server URL --agent NAME [--transport libcurl|urlsession]
          runs every case of the fuzzing server, then has it write its reports. The verdicts are the server's.
        """

    static func main() async {
        var options: [String: String] = [:]
        var words = Array(CommandLine.arguments.dropFirst())
        while words.count >= 2, words[0].hasPrefix("--") {
            options[String(words[0].dropFirst(2))] = words[1]
            words.removeFirst(2)
        }
        let known: Set = ["server", "agent", "transport"]
        guard words.isEmpty, known.isSuperset(of: options.keys), let server = options["server"],
            let agent = options["agent"], let kind = TransportKind(rawValue: options["transport"] ?? "libcurl")
        else {
            FileHandle.standardError.write(Data((usage + "\n").utf8))
            exit(2)
        }
        do {
            let suite = FuzzingServer(base: server, agent: agent, transport: kind.make())
            let count = try await suite.caseCount()
            for number in 1...count {
                try await suite.run(number)
                if number % 50 == 0 || number == count { print("\(number) of \(count) cases run") }
            }
            try await suite.updateReports()
        } catch {
            FileHandle.standardError.write(Data("websocket-conformance: \(error)\n".utf8))
            exit(1)
        }
    }
}

/// The fuzzing server's calls, each of which is a WebSocket connection.
struct FuzzingServer {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let base: String
    let agent: String
    let transport: any WebSocketTransport

    private static let caseTimeout: Duration = .seconds(300)

    func caseCount() async throws -> Int {
        let connection = try await connect("getCaseCount")
        guard case .message(.text(let text)) = try await connection.receive(), let count = Int(text), count > 0 else {
            throw Failure(description: "\(base) does not say how many cases it has")
        }
        await connection.close(.normal, reason: "")
        return count
    }

    /// However the case ends is the server's to judge; only a server that can't be reached is an error.
    func run(_ number: Int) async throws {
        let connection = try await connect("runCase", ["case": "\(number)", "agent": agent])
        do {
            try await withDeadline(.after(Self.caseTimeout), operation: "case \(number)") {
                while true {
                    if case .message(let message) = try await connection.receive() {
                        try await connection.send(message)
                    }
                }
            }
        } catch let error as DeadlineExceeded {
            print("\(error)")
        } catch {}
        await connection.close(.normal, reason: "")
    }

    func updateReports() async throws {
        let connection = try await connect("updateReports", ["agent": agent])
        while (try? await connection.receive()) != nil {}
        await connection.close(.normal, reason: "")
    }

    private func connect(_ call: String, _ query: [String: String] = [:]) async throws -> any WebSocketConnection {
        var parts = URLComponents(string: base)
        parts?.path = "/" + call
        if !query.isEmpty { parts?.queryItems = query.map { URLQueryItem(name: $0.key, value: $0.value) } }
        guard let url = parts?.url else { throw Failure(description: "not a URL: \(base)") }
        var options = WebSocketOptions()
        // Messages of 16 MiB that the server takes in slowly.
        options.maxUnsentBytes = 64 << 20
        return try await transport.connect(to: url, options: options, deadline: .after(.seconds(20)))
    }
}
