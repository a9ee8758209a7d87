import Curl
import AsyncRuntime
import Foundation
import HTTPServer
import Lark
import TestSupport
import Testing

@Suite("The HTTP server")
struct HTTPServerTests {
    private func get(_ port: Int) async throws -> String {
        let url = try #require(URL(string: "http://127.0.0.1:\(port)/"))
        return String(decoding: try await HTTPExchange().send("GET", url).body, as: UTF8.self)
    }

    @Test("a server that is let go without a stop ends by itself, and takes nobody down with it")
    func letGo() async throws {
        var port = 0
        do {
            let server = try HTTPServer(host: "127.0.0.1", port: 0) { _ in .text("here\n") }
            port = server.port
            #expect(try await get(port) == "here\n")
        }
        // Until it has ended it still answers.
        let hasEnded = try await eventually { [port] in (try? await get(port)) == nil }
        #expect(hasEnded)
    }

    @Test("a request tells who sent it; one with a larger body than allowed is refused, and not handed on")
    func bounds() async throws {
        let server = try HTTPServer(host: "127.0.0.1", port: 0, maxBodyBytes: 64) { request in
            .text("\(request.body.count) bytes from \(request.clientAddress)\n")
        }
        let url = try #require(URL(string: "http://127.0.0.1:\(server.port)/"))
        func send(_ bytes: Int) async throws -> String {
            // Eight bytes around the text.
            let answer = try await HTTPExchange().send(
                "POST", url, json: ["a": String(repeating: "x", count: bytes - 8)])
            return "\(answer.status) \(String(decoding: answer.body, as: UTF8.self))"
        }
        #expect(try await send(64) == "200 64 bytes from 127.0.0.1\n")
        #expect(try await send(65) == "413 too large\n")
        #expect(try await send(1 << 20) == "413 too large\n")
        await server.stop()
    }

    @Test("a stop waits for the request under way, and later ones are refused")
    func stop() async throws {
        let (began, release) = (AsyncEvent(), AsyncEvent())
        let server = try HTTPServer(host: "127.0.0.1", port: 0) { _ in
            began.set()
            await release.wait()
            return .text("done\n")
        }
        async let answer = get(server.port)
        await began.wait()
        async let stopped: Void = server.stop()
        release.set()
        #expect(try await answer == "done\n")
        await stopped
        let port = server.port
        await #expect(throws: (any Error).self) { try await get(port) }
    }

    @Test("of a header in several lines, in whatever spelling, all are told, in the order of arrival")
    func repeatedHeaders() async throws {
        let server = try HTTPServer(host: "127.0.0.1", port: 0) { request in
            let names = (0..<32).map { "x-\($0)" }
            return .text(names.map { request.headers[$0] ?? "-" }.joined(separator: "; "))
        }
        let client = try RawClient(port: server.port)
        let lines = (0..<32).map { "X-\($0): one\r\nx-\($0): two\r\n" }.joined()
        await client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\(lines)\r\n")
        let answer = await client.readToEnd()
        #expect(answer.hasSuffix(Array(repeating: "one, two", count: 32).joined(separator: "; ")), "\(answer)")
        await server.stop()
    }
}
