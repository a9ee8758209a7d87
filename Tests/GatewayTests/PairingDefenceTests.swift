import AsyncRuntime
import HTTPServer
import Store
import TestSupport
import Testing

@testable import Gateway

/// Many at once, and what every answer of the pairing page says to a browser.
@Suite("The pairing page under attack")
struct PairingDefenceTests {
    private struct Bench: Sendable {
        let fixture: Fixture
        let site: PairingSite

        init() async throws {
            fixture = try await Fixture(access: .pairing)
            let logger = LogRecorder().logger
            site = PairingSite(
                repository: fixture.repository, keys: SealingKeys(), outages: OutageLog(logger: logger), logger: logger)
        }

        func makeLink(for openID: String = "ou_1") async throws -> PairingLink {
            let link = PairingLink()
            try await fixture.repository.makeBindingToken(
                code: link.approvalCode.hash, link: link.hash, openID: openID, installation: fixture.lease.installation)
            return link
        }

        func invite(_ name: String = "Ann") async throws -> BindingCode {
            let code = BindingCode()
            #expect(
                try await fixture.repository.inviteMember(
                    name, to: "acme", openID: nil, code: code.hash, valid: .seconds(600)))
            return code
        }

        func send(
            _ method: String, _ rest: String, headers: [String: String] = [:], body: String = "",
            from client: String = "192.0.2.1"
        ) async -> HTTPResponse {
            let form = ["content-type": "application/x-www-form-urlencoded"]
            return await site.answer(
                HTTPRequest(
                    method: method, path: "/pair/\(rest)", headers: form.merging(headers) { $1 },
                    body: Array(body.utf8),
                    clientAddress: client))
        }

        /// All of them at once, each from an address of its own.
        /// - Returns: the statuses, in order.
        func enter(_ code: BindingCode, at links: [PairingLink]) async -> [Int] {
            await withTaskGroup(of: Int.self) { group in
                for (index, link) in links.enumerated() {
                    group.addTask {
                        await send("POST", link.text, body: "code=\(code)", from: "192.0.2.\(index)").status
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }.sorted()
            }
        }

        func count(_ rows: String) async throws -> String {
            try await fixture.pool.rows("SELECT count(*) FROM gateway.\(rows)")[0]
        }
    }

    @Test("24 requests at once with one link and one code: one is let in, and that is done and told once")
    func oneLink() async throws {
        let bench = try await Bench()
        let (link, code) = (try await bench.makeLink(), try await bench.invite())
        let statuses = await bench.enter(code, at: Array(repeating: link, count: 24))
        #expect(statuses == [303] + Array(repeating: 410, count: 23))
        #expect(try await bench.count("member_binding") == "(1)")
        #expect(try await bench.count("invitation WHERE used_at IS NOT NULL") == "(1)")
        #expect(try await bench.count("outbox WHERE kind = 'notice'") == "(1)")
    }

    @Test("six links at once with one code: one person is let in, the others hear that it was used")
    func sixLinks() async throws {
        let bench = try await Bench()
        let code = try await bench.invite()
        var links: [PairingLink] = []
        for index in 0..<6 { links.append(try await bench.makeLink(for: "ou_\(index)")) }
        #expect(await bench.enter(code, at: links) == [303] + Array(repeating: 422, count: 5))
        #expect(try await bench.count("member_binding") == "(1)")
    }

    @Test("who says to be somebody else to the proxy is counted as who the proxy says all the same")
    func forwarded() async throws {
        let bench = try await Bench()
        let link = try await bench.makeLink()
        func get(_ path: String, said: String, by client: String) async -> Int {
            await bench.send("GET", path, headers: ["x-forwarded-for": "\(said), \(client)"], from: "127.0.0.1").status
        }
        for index in 0..<30 {
            // Some lie with more than one address, or with what is none.
            let said = ["203.0.113.\(index)", "1.1.1.1, 203.0.113.\(index)", ",", "\(index)"][index % 4]
            _ = await get("wrong", said: said, by: "198.51.100.1")
        }
        #expect(await get("wrong", said: "203.0.113.99", by: "198.51.100.1") == 429)
        #expect(await get(link.text, said: "198.51.100.1", by: "198.51.100.2") == 200)
    }

    @Test("every answer forbids scripts, frames, caches and referrers, and sets no cookie; no answer holds a script")
    func headers() async throws {
        let bench = try await Bench()
        let (link, used, code) = (
            try await bench.makeLink(), try await bench.makeLink(for: "ou_2"), try await bench.invite()
        )
        let answers = [
            await bench.send("GET", link.text), await bench.send("GET", link.text + "/wait"),
            await bench.send("POST", link.text, body: "code=0000000000"), await bench.send("PUT", link.text),
            await bench.send("POST", link.text, headers: ["content-type": "text/plain"]), await bench.send("GET", "x"),
            await bench.send("POST", used.text, body: "code=\(code)"), await bench.send("GET", used.text),
            await bench.send("POST", used.text, body: "code=\(code)"),
        ]
        #expect(answers.map(\.status) == [200, 200, 422, 405, 400, 404, 303, 200, 410])
        for answer in answers {
            let policy = (answer.headers["Content-Security-Policy"] ?? "").split(separator: ";").map {
                $0.drop { $0 == " " }
            }
            #expect(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"))
            #expect(policy.contains("base-uri 'none'") && policy.contains("form-action 'self'"))
            #expect(!policy.contains { $0.hasPrefix("script-src") || $0.contains("unsafe") })
            #expect(answer.headers["X-Frame-Options"] == "DENY")
            #expect(answer.headers["Referrer-Policy"] == "no-referrer")
            #expect(answer.headers["Cache-Control"] == "no-store")
            #expect(answer.headers["X-Content-Type-Options"] == "nosniff")
            #expect(!answer.headers.keys.contains { $0.lowercased().contains("cookie") })
            #expect(!String(decoding: answer.body, as: UTF8.self).lowercased().contains("<script"))
        }
    }

    @Test("to look at a page changes no row, however often and by whatever method")
    func looking() async throws {
        let bench = try await Bench()
        let (link, code) = (try await bench.makeLink(), try await bench.invite())
        func rows() async throws -> [String] {
            var rows: [String] = []
            for table in ["binding_token", "invitation", "member", "member_binding", "outbox"] {
                rows += try await bench.fixture.pool.rows("SELECT t.*, t.xmin FROM gateway.\(table) t ORDER BY 1")
            }
            return rows
        }
        let before = try await rows()
        #expect(before.count == 2)
        for method in ["GET", "HEAD", "OPTIONS", "DELETE", "PUT", "TRACE", "PATCH"] {
            for path in [link.text, link.text + "/wait"] {
                let answer = await bench.send(method, path, body: "code=\(code)")
                #expect(answer.status == (method == "GET" || method == "HEAD" ? 200 : 405))
            }
        }
        #expect(try await rows() == before)
    }

    @Test("a link is 256 bits of the system's: 32 bytes, and over many links each bit is set about half the time")
    func links() {
        var set = [Int](repeating: 0, count: 256)
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8
        let values = Dictionary(uniqueKeysWithValues: zip(alphabet, 0...))
        let count = 1_000
        for _ in 0..<count {
            var bits: [Bool] = []
            // base64url, by hand: six bits a letter, and two left over.
            for letter in PairingLink().text.utf8 {
                let value = values[letter] ?? 0
                bits += (0..<6).reversed().map { value >> $0 & 1 == 1 }
            }
            if bits.count != 258 || bits[256] || bits[257] { Issue.record("not 32 bytes") }
            for index in 0..<256 where bits[index] { set[index] += 1 }
        }
        // Eight standard deviations: once in 10^12 runs.
        #expect(set.allSatisfy { abs($0 - count / 2) < 127 }, "\(set)")
    }
}
