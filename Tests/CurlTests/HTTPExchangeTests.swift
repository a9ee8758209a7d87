import AsyncRuntime
import Curl
import Foundation
import HTTPServer
import TestSupport
import Testing

@Suite("HTTP requests")
struct HTTPExchangeTests {
    private func url(_ port: Int) throws -> URL {
        try #require(URL(string: "http://127.0.0.1:\(port)/"))
    }

    @Test("an answer as large as the bound arrives whole; one byte more is refused, and the next request is answered")
    func bound() async throws {
        let bytes = 1 << 20
        let server = try HTTPServer(host: "127.0.0.1", port: 0) { request in
            HTTPResponse(body: [UInt8](repeating: 7, count: request.method == "GET" ? bytes : bytes + 1))
        }
        let exchange = HTTPExchange()
        #expect(try await exchange.send("GET", url(server.port)).body.count == bytes)
        let failure = await #expect(throws: ConnectionFailure.self) {
            try await exchange.send("POST", url(server.port), json: [:])
        }
        #expect(failure?.cause == .tooLarge)
        #expect(failure?.description == "no connection to 127.0.0.1: the answer is too large")
        #expect(try await exchange.send("GET", url(server.port)).body.count == bytes)
        let larger = try await exchange.send("POST", url(server.port), json: [:], maxAnswerBytes: bytes + 1)
        #expect(larger.body.count == bytes + 1)
        await server.stop()
    }

    @Test("a body that does not end is refused at the bound, not when memory is full")
    func endlessBody() async throws {
        let server = try RawServer { peer in
            _ = peer.readHead()
            peer.write(Array("HTTP/1.1 200 OK\r\n\r\n".utf8))
            let piece = [UInt8](repeating: 7, count: 64 << 10)
            while peer.write(piece) {}
        }
        let failure = await #expect(throws: ConnectionFailure.self) {
            try await HTTPExchange(timeout: .seconds(60)).send("GET", url(server.port))
        }
        #expect(failure?.cause == .tooLarge)
    }

    @Test("a server that accepts and never answers, or stops in the middle, costs the time-out")
    func silence() async throws {
        for start in ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123"] {
            let server = try RawServer { peer in
                _ = peer.readHead()
                peer.write(Array(start.utf8))
                while !peer.read().isEmpty {}
            }
            await #expect(throws: DeadlineExceeded.self) {
                try await HTTPExchange(timeout: .milliseconds(300)).send("GET", url(server.port))
            }
        }
    }

    @Test("a silent server keeps nobody from another one; who waits for a turn there obeys time-out and cancellation")
    func silentDomain() async throws {
        let reached = Recorder<Int>()
        let silent = try RawServer { peer in
            _ = peer.readHead()
            reached.record(1)
            while !peer.read().isEmpty {}
        }
        let good = try HTTPServer(host: "127.0.0.1", port: 0) { _ in .text("ok") }
        let exchange = HTTPExchange(timeout: .seconds(20))
        let (silentURL, goodURL) = (try url(silent.port), try url(good.port))
        // More than there are slots of any kind.
        let stuck = (0..<200).map { index in
            Task { try await exchange.send("GET", silentURL, of: "app \(index)") }
        }
        #expect(try await eventually { reached.all.count >= 12 })
        #expect(try await exchange.send("GET", goodURL).body == Data("ok".utf8))
        await #expect(throws: DeadlineExceeded.self) {
            try await withDeadline(.after(.milliseconds(50)), operation: "context") {
                try await exchange.send("GET", silentURL)
            }
        }
        // Each purpose has slots of its own.
        let sent = Task { try await exchange.send("GET", silentURL, for: .sending) }
        #expect(try await eventually { reached.all.count == 13 })
        #expect(stuck.allSatisfy { !$0.isCancelled })
        for task in stuck + [sent] { task.cancel() }
        for task in stuck + [sent] { _ = await task.result }
        #expect(reached.all.count == 13, "who waited never went")
        await good.stop()
    }

    @Test(
        "the wait for a turn counts: a request is over when its time is, and one whose turn came late blames no server")
    func waitCounts() async throws {
        let silent = try RawServer { peer in
            _ = peer.readHead()
            while !peer.read().isEmpty {}
        }
        let blamed = Recorder<HTTPExchange.Outcome>()
        let exchange = HTTPExchange(timeout: .seconds(1)) { blamed.record($0) }
        let silentURL = try url(silent.port)
        let words = await withTaskGroup(of: String.self) { group in
            for _ in 0..<60 {
                group.addTask {
                    do {
                        return try await exchange.send("GET", silentURL, of: "app").status.description
                    } catch {
                        return "\(error)"
                    }
                }
            }
            return await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
        }
        // Eight at a time: the last of them would have had its turn only when others had used up theirs.
        #expect(words.values.reduce(0, +) == 60)
        #expect(words.keys.allSatisfy { $0.hasSuffix("127.0.0.1: no answer in time") }, "\(words)")
        #expect(words["waiting for a turn to reach 127.0.0.1: no answer in time"] ?? 0 > 0, "\(words)")
        #expect((1...8).contains(blamed.all.count), "those that went first")
    }

    @Test("R6: of a name's addresses the first is silent: it is named, and the next request goes to another")
    func silentAddress() async throws {
        let silent = try RawServer { peer in while !peer.read().isEmpty {} }
        let good = try RawServer(address: 0x7F00_0002, port: silent.port) { peer in
            _ = peer.readHead()
            peer.write(Array("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".utf8))
        }
        var network = NetworkSettings()
        network.addresses = ["two.example:\(silent.port):127.0.0.1,127.0.0.2"]
        network.isInsecureAllowed = true
        let exchange = HTTPExchange(settings: network, timeout: .seconds(2))
        let url = try #require(URL(string: "http://two.example:\(silent.port)/"))
        let error = await #expect(throws: DeadlineExceeded.self) { try await exchange.send("GET", url) }
        #expect(error?.operation == "reaching two.example (127.0.0.1)")
        for _ in 0..<3 { #expect(try await exchange.send("GET", url).body == Data("ok".utf8)) }
        withExtendedLifetime(good) {}
    }

    @Test("an answer that breaks off is a failure, not a short body")
    func brokenOff() async throws {
        let server = try RawServer { peer in
            _ = peer.readHead()
            peer.write(Array("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123".utf8))
        }
        let failure = await #expect(throws: ConnectionFailure.self) {
            try await HTTPExchange().send("GET", url(server.port))
        }
        #expect(failure?.cause == .other)
    }

    @Test("a redirect is an answer, and is not followed: the request carries secrets")
    func redirect() async throws {
        let server = try HTTPServer(host: "127.0.0.1", port: 0) { request in
            request.path == "/" ? HTTPResponse(status: 302, headers: ["Location": "/elsewhere"]) : .text("followed")
        }
        let answer = try await HTTPExchange().send("GET", url(server.port))
        #expect(answer.status == 302)
        #expect(answer.headers["location"] == "/elsewhere")
        #expect(answer.body.isEmpty)
        await server.stop()
    }

    @Test("a header with a line break is not sent: it would be two")
    func lineBreak() async throws {
        let paths = Recorder<String>()
        let server = try HTTPServer(host: "127.0.0.1", port: 0) { request in
            paths.record(request.path)
            return .text("ok")
        }
        for headers in [["A": "b\r\nX-Injected: yes"], ["A": "b\nc"], ["A\r\nB": "c"]] {
            let failure = await #expect(throws: ConnectionFailure.self) {
                try await HTTPExchange().send("GET", url(server.port), headers: headers)
            }
            #expect(failure?.words == "a header with a control character is not sent")
        }
        #expect(paths.all.isEmpty)
        await server.stop()
    }

    @Test("a path goes out as it stands in the URL")
    func pathAsIs() async throws {
        let server = try HTTPServer(host: "127.0.0.1", port: 0) { .text($0.path) }
        let url = try #require(URL(string: "http://127.0.0.1:\(server.port)/a/../b/./c"))
        #expect(try await HTTPExchange().send("GET", url).body == Data("/a/../b/./c".utf8))
        await server.stop()
    }

    @Test("S11: plain http goes to this machine alone, unless that is allowed: a request carries secrets")
    func clear() async throws {
        let paths = Recorder<String>()
        let server = try HTTPServer(host: "127.0.0.1", port: 0) { request in
            paths.record(request.path)
            return .text("ok")
        }
        var network = NetworkSettings()
        network.addresses = ["lark.example:\(server.port):127.0.0.1"]
        let url = try #require(URL(string: "http://lark.example:\(server.port)/"))
        let failure = await #expect(throws: ConnectionFailure.self) {
            try await HTTPExchange(settings: network).send("POST", url, json: ["AppSecret": "s"])
        }
        #expect(failure?.cause == .refusedHere)
        #expect(failure?.words.contains("use https, or set network.insecure") == true)
        #expect(paths.all.isEmpty)
        network.isInsecureAllowed = true
        #expect(try await HTTPExchange(settings: network).send("GET", url).status == 200)
        #expect(try await HTTPExchange().send("GET", self.url(server.port)).address == "127.0.0.1")
        await server.stop()
    }
}
