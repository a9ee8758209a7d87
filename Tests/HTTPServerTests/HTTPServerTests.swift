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
        var limits = HTTPServerLimits()
        limits.maxBodyBytes = 64
        let server = try HTTPServer(host: "127.0.0.1", port: 0, limits: limits) { request in
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

    @Test("a path is decoded once, and one with %00 in it is no other, shorter one")
    func paths() async throws {
        let server = try HTTPServer(host: "127.0.0.1", port: 0) { request in .text(request.path) }
        for (given, expected) in [
            ("/a%20b", "/a b"), ("/a%2fb%C3%a9", "/a/bé"), ("/a%2541", "/a%41"), ("/a%00b", "/a%00b"),
            ("/a%00", "/a%00"), ("/a%zz%4", "/a%zz%4"), ("/a+b", "/a+b"),
        ] {
            let request = "GET \(given) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            let port = server.port
            let answer = await BlockingCall.run { RawExchange.exchange(port, Array(request.utf8)) }
            #expect(answer.hasSuffix("\r\n\r\n" + expected), "\(given)")
        }
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

    @Test(
        "where no body is taken a request that announces one is answered at once, before a byte of it came",
        arguments: [
            "GET / HTTP/1.1\r\nContent-Length: 14680064", "POST / HTTP/1.1\r\nContent-Length: 1",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked", "HEAD / HTTP/1.1\r\ncontent-length: 007",
        ])
    func noBody(_ head: String) async throws {
        var limits = HTTPServerLimits()
        limits.maxBodyBytes = 0
        let handled = Recorder<String>()
        let server = try HTTPServer(host: "127.0.0.1", port: 0, limits: limits) { request in
            handled.record(request.path)
            return .text("\(request.body.count)\n")
        }
        let client = try RawClient(port: server.port)
        await client.write(head + "\r\nHost: a\r\n\r\n")
        let answer = await client.readToEnd()
        #expect(answer.hasPrefix("HTTP/1.1 413 "), "\(answer)")
        #expect(handled.all.isEmpty)
        let empty = try RawClient(port: server.port)
        await empty.write("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        #expect(await empty.readToEnd().hasSuffix("\r\n\r\n0\n"))
        await server.stop()
    }

    @Test(
        "a request whose bytes trickle is cut off when its time is over, in its head and in its body; no other is",
        arguments: ["GET / HTTP/1.1\r\nX-Long: ", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4096\r\n\r\n"])
    func trickle(_ beginning: String) async throws {
        var limits = HTTPServerLimits()
        limits.requestPatience = .milliseconds(200)
        let release = AsyncEvent()
        let server = try HTTPServer(host: "127.0.0.1", port: 0, limits: limits) { request in
            if request.path == "/slow" { await release.wait() }
            return .text("done\n")
        }
        // It came whole: how long its answer takes is not its fault.
        let whole = try RawClient(port: server.port)
        await whole.write("GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        let client = try RawClient(port: server.port)
        await client.write(beginning)
        let isCutOff = try await eventually(within: .seconds(15)) { await !client.write("x") }
        #expect(isCutOff)
        release.set()
        #expect(await whole.readToEnd().hasSuffix("done\n"))
        await server.stop()
    }

    @Test("one address has a bounded number of connections; what is beyond is closed, and others are let in")
    func perAddress() async throws {
        var limits = HTTPServerLimits()
        limits.maxConnectionsPerAddress = 2
        let server = try HTTPServer(host: "127.0.0.1", port: 0, limits: limits) { _ in .text("here\n") }
        @Sendable func answer(_ client: RawClient) async -> Bool {
            await client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            return await client.readHead().hasPrefix("HTTP/1.1 200 ")
        }
        var held = [try RawClient(port: server.port), try RawClient(port: server.port)]
        for client in held { #expect(await answer(client)) }
        #expect(await !answer(try RawClient(port: server.port)))
        #expect(await answer(try RawClient(port: server.port, from: 0x7F00_0002)))
        held.removeAll()
        let isLetIn = try await eventually { await answer(try RawClient(port: server.port)) }
        #expect(isLetIn)
        await server.stop()
    }
}
