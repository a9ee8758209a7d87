import AsyncRuntime
import Curl
import Foundation
import HTTPServer
import TestSupport
import Testing

@Suite("Servers that want more than an answer")
struct HostileServersTests {
    private func url(_ port: Int) throws -> URL {
        try #require(URL(string: "http://127.0.0.1:\(port)/"))
    }

    @Test(
        "a secret in a body goes nowhere else, whichever redirect the server answers",
        arguments: [301, 302, 303, 307, 308])
    func redirects(status: Int) async throws {
        let heard = Recorder<String>()
        let elsewhere = try HTTPServer(host: "127.0.0.1", port: 0) { request in
            heard.record("\(request.method) \(String(decoding: request.body, as: UTF8.self))")
            return .text("thanks")
        }
        let server = try HTTPServer(host: "127.0.0.1", port: 0) { [port = elsewhere.port] request in
            HTTPResponse(status: status, headers: ["Location": "http://127.0.0.1:\(port)\(request.path)"])
        }
        let answer = try await HTTPExchange().send("POST", url(server.port), json: ["app_secret": "s3cret"])
        #expect(answer.status == status)
        #expect(heard.all.isEmpty)
        await server.stop()
        await elsewhere.stop()
    }

    @Test("compression is not asked for, and what comes compressed all the same is not expanded")
    func compression() async throws {
        // 200,000 spaces behind {"code":0}.
        let bomb = try #require(
            Data(
                base64Encoded: "H4sIAAAAAAACA+3BMQ0AIAwAMCtkCrixM7gngOAdDfvb3sjaJ9Z8Aw"
                    + String(repeating: "A", count: 256)
                    + "Bo+28SeMxKDQMA"))
        let heads = Recorder<String>()
        let server = try RawServer { peer in
            heads.record(peer.readHead().lowercased())
            peer.write(
                Array("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: \(bomb.count)\r\n\r\n".utf8)
                    + bomb)
        }
        let answer = try await HTTPExchange().send("GET", url(server.port))
        // Compared here: to tell the difference takes the square of what was expanded.
        let isAsSent = answer.body == bomb
        #expect(isAsSent, "\(answer.body.count) bytes")
        #expect(heads.all.count == 1 && !heads.all[0].contains("accept-encoding"), "\(heads.all)")
    }

    @Test("headers without an end are refused long before they fill the memory")
    func endlessHeaders() async throws {
        let sent = Recorder<Int>()
        let server = try RawServer { peer in
            _ = peer.readHead()
            peer.write(Array("HTTP/1.1 200 OK\r\n".utf8))
            let lines = Array(String(repeating: "X-More: \(String(repeating: "a", count: 990))\r\n", count: 16).utf8)
            var bytes = 0
            while bytes < 64 << 20, peer.write(lines) { bytes += lines.count }
            sent.record(bytes)
        }
        await #expect(throws: ConnectionFailure.self) {
            try await HTTPExchange(timeout: .seconds(60)).send("GET", url(server.port))
        }
        #expect(try await eventually { sent.all.count == 1 })
        // What the sockets hold is among it.
        #expect(sent.all[0] < 32 << 20)
    }
}
