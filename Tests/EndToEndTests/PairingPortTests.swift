import AsyncRuntime
import Foundation
import Gateway
import Lark
import TestSupport
import Testing

/// The port that a proxy shows to the world, and what browsers never send.
@Suite("The pairing port, through the real daemon")
struct PairingPortTests {
    @Test("requests that no browser makes are refused, nothing of them is reflected, and nothing changes")
    func requests() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(
            stage.configuration(
                access: "pairing", extra: #", "public_url": "https://e.com", "pairing": {"listen": "127.0.0.1:0"}"#))
        let port = try #require(daemon.events("pairing.listening").first?["port"].integer)
        await stage.say("let me in", from: "ou_new")
        let sent = try #require(await stage.sent(1).first)
        let prompt = try #require(JSONValue(parsing: sent.content))
        let button = try #require(prompt["body"]["elements"].array.first { $0["tag"].string == "button" })
        let url = try #require(button["behaviors"].array.first?["default_url"].string)
        let link = String(try #require(url.split(separator: "/").last))

        let client = Mutex(0)
        /// From an address of its own, by the proxy's word: wrong links are counted.
        func send(_ method: String, _ target: String, _ headers: [String] = [], body: String = "") async -> String {
            let number = client.withLock {
                $0 += 1
                return $0
            }
            let lines =
                [
                    "\(method) \(target) HTTP/1.1", "Host: e.com", "Connection: close",
                    "X-Forwarded-For: 192.0.2.\(number)",
                ]
                + headers + (body.isEmpty ? [] : ["Content-Length: \(body.utf8.count)"])
            let bytes = Array((lines.joined(separator: "\r\n") + "\r\n\r\n" + body).utf8)
            return await BlockingCall.run { RawExchange.exchange(port, bytes) }
        }
        func status(_ answer: String) -> Int { Int(answer.dropFirst("HTTP/1.1 ".count).prefix(3)) ?? 0 }

        #expect(status(await send("GET", "/pair/\(link)")) == 200)
        let last = try #require(link.last)
        let others = ["A", "B", "_", "-"].filter { $0 != String(last) }.map { link.dropLast() + $0 }
        for path in ["..", "../metrics", "%2F", "%00", "%2e%2e%2f", "<script>alert(1)</script>", "\(link)/.."] + others
        {
            let answer = await send("GET", "/pair/\(path)")
            #expect(status(answer) == 404, "\(path): \(answer.prefix(200))")
            #expect(!answer.contains("<script") && !answer.contains(link.dropLast()), "\(path): \(answer)")
        }
        let long = await send("GET", "/pair/" + String(repeating: "a", count: 20_000))
        #expect([404, 414, 431].contains(status(long)) && !long.contains("aaaaaaaa"), "\(long.prefix(300))")

        for method in ["PUT", "DELETE", "TRACE", "OPTIONS", "CONNECT", "BREW"] {
            let answer = await send(method, "/pair/\(link)", ["X-Mine: reflect-me"])
            #expect(status(answer) == 405, "\(method): \(answer.prefix(200))")
            #expect(!answer.contains("reflect-me"))
        }
        for type in ["application/json", "multipart/form-data; boundary=a", "text/plain"] {
            let answer = await send(
                "POST", "/pair/\(link)", ["Content-Type: \(type)"], body: #"{"code": "0000000000"}"#)
            #expect(status(answer) == 400, "\(type): \(answer.prefix(200))")
        }
        let form = "Content-Type: application/x-www-form-urlencoded"
        let large = await send("POST", "/pair/\(link)", [form], body: "code=" + String(repeating: "0", count: 5_000))
        #expect(status(large) == 413, "\(large.prefix(200))")
        // Where the server ends before it has read everything, a reset can overtake its answer.
        for headers in [
            ["X-Large: " + String(repeating: "a", count: 1 << 20)], (0..<20_000).map { "X-\($0): a" },
        ] {
            let answer = await send("GET", "/pair/\(link)", headers)
            #expect([0, 400, 431].contains(status(answer)), "\(answer.prefix(200))")
        }
        #expect(status(await send("GET", "/pair/\(link)")) == 200)
        #expect(
            try await stage.rows("SELECT wrong_codes, used_at FROM gateway.binding_token") == ["(0,)"])
        #expect(!daemon.output.contains(link))
        await stage.end(daemon)
    }

    @Test("a body that does not end costs no memory, and keeps nobody from the page")
    func endlessBody() async throws {
        let daemon = try Daemon.run(
            """
            {"database_url": "host=127.0.0.1 port=1", "metrics": {"listen": "127.0.0.1:0"},
             "public_url": "https://e.com", "pairing": {"listen": "127.0.0.1:0"}}
            """)
        #expect(try await daemon.logs("database.unavailable"))
        let port = try #require(daemon.events("pairing.listening").first?["port"].integer)
        let before = daemon.peakMemory
        let chunk = Array("10000\r\n".utf8) + [UInt8](repeating: 0x61, count: 65_536) + Array("\r\n".utf8)
        let head = "POST /pair/x HTTP/1.1\r\nHost: e.com\r\nTransfer-Encoding: chunked\r\n\r\n"
        _ = await BlockingCall.run { RawExchange.flood(port, head: head, piece: chunk, most: 48 << 20) }
        let request = Array("GET / HTTP/1.1\r\nHost: e.com\r\nConnection: close\r\n\r\n".utf8)
        let answer = await BlockingCall.run { RawExchange.exchange(port, request) }
        #expect(answer.hasPrefix("HTTP/1.1 404"))
        let grown = daemon.peakMemory - before
        #expect(before > 0 && grown < 24 << 20, "\(grown >> 20) MiB")
        #expect(await daemon.stop() == 0)
    }
}
