import AsyncRuntime
import Foundation
import HTTPServer
import Postgres
import TestSupport
import Testing

@testable import Gateway
@testable import Store

/// The pairing page and what it does to the database.
@Suite("The pairing page")
struct PairingSiteTests {
    private struct Bench: Sendable {
        let fixture: Fixture
        let site: PairingSite
        let log = LogRecorder()
        private let clock: ManualClock

        private final class ManualClock: Sendable {
            let now = Mutex(ContinuousClock.now)
        }

        init(keys: SealingKeys = SealingKeys()) async throws {
            fixture = try await Fixture(access: .pairing, apps: ["cli_a", "cli_b"])
            let clock = ManualClock()
            self.clock = clock
            site = PairingSite(
                repository: fixture.repository, keys: keys, outages: OutageLog(logger: log.logger), logger: log.logger,
                now: { clock.now.withLock { $0 } })
        }

        func wait(_ duration: Duration) {
            clock.now.withLock { $0 += duration }
        }

        /// As the prompt to this person makes it.
        func makeLink(for openID: String = "ou_1", installation: InstallationID? = nil) async throws -> PairingLink {
            let link = PairingLink()
            try await fixture.repository.makeBindingToken(
                code: link.approvalCode.hash, link: link.hash, openID: openID,
                installation: installation ?? fixture.lease.installation)
            return link
        }

        func invite(_ name: String, openID: String? = nil, valid: Duration = .seconds(60)) async throws -> BindingCode {
            let code = BindingCode()
            #expect(
                try await fixture.repository.inviteMember(
                    name, to: "acme", openID: openID, code: code.hash, valid: valid))
            return code
        }

        func get(_ link: PairingLink, _ rest: String = "", from client: String = "192.0.2.1") async -> HTTPResponse {
            await site.answer(HTTPRequest(method: "GET", path: "/pair/\(link.text)\(rest)", clientAddress: client))
        }

        func enter(_ code: String, at link: PairingLink, from client: String = "192.0.2.1") async -> HTTPResponse {
            await site.answer(
                HTTPRequest(
                    method: "POST", path: "/pair/\(link.text)",
                    headers: ["content-type": "application/x-www-form-urlencoded"], body: Array("code=\(code)".utf8),
                    clientAddress: client))
        }

        func enter(_ code: BindingCode, at link: PairingLink) async -> HTTPResponse {
            await enter(code.description, at: link)
        }

        func bindings() async throws -> [String] {
            try await fixture.pool.rows(
                """
                SELECT b.open_id, m.name FROM gateway.member_binding b
                JOIN gateway.member m ON m.id = b.member_id ORDER BY 1, 2
                """)
        }
    }

    private static func text(_ response: HTTPResponse) -> String {
        String(decoding: response.body, as: UTF8.self)
    }

    @Test(
        "who enters an invitation's code becomes that member, is told so in the chat, and their next message is stored")
    func invitation() async throws {
        let bench = try await Bench()
        let (link, code) = (try await bench.makeLink(), try await bench.invite("Ann"))
        let form = await bench.get(link)
        #expect(form.status == 200 && Self.text(form).contains("Connect with support"))
        let answer = await bench.enter(code.description.lowercased(), at: link)
        #expect(answer.status == 303 && answer.headers["Location"] == link.text)
        #expect(Self.text(await bench.get(link)).contains("You are Ann of acme"))
        #expect(Self.text(await bench.get(link, "/wait")).contains("You are Ann of acme"))
        #expect(try await bench.bindings() == ["(ou_1,Ann)"])
        #expect(
            try await bench.fixture.pool.rows("SELECT kind, receive_id, payload ->> 'notice' FROM gateway.outbox") == [
                "(notice,ou_1,bound)"
            ])
        #expect(try await bench.fixture.ingest(Fixture.message("om_1")).map(\.verdict) == [.ingested])
        #expect(bench.log.events(named: "pairing.bound").map { $0["open_id"] } == [.text("ou_1")])
        #expect(!"\(bench.log.all)".contains(link.text) && !"\(bench.log.all)".contains(code.description))
    }

    @Test("I8: neither the link nor the code stands in the database")
    func hashesOnly() async throws {
        let bench = try await Bench()
        let (link, code) = (try await bench.makeLink(), try await bench.invite("Ann"))
        let rows =
            try await bench.fixture.pool.rows("SELECT t::text FROM gateway.binding_token t")
            + bench.fixture.pool.rows("SELECT v::text FROM gateway.invitation v")
        #expect(rows.count == 2)
        for secret in [link.text, code.description, link.approvalCode.description] {
            #expect(!rows.joined().contains(secret))
        }
    }

    @Test("the page without a code waits: when an administrator approves what it shows, it says so by itself")
    func approval() async throws {
        let bench = try await Bench()
        let link = try await bench.makeLink()
        let page = Self.text(await bench.get(link, "/wait"))
        #expect(page.contains(link.approvalCode.description) && page.contains(#"http-equiv="refresh""#))
        let shown = try #require(BindingCode(link.approvalCode.description))
        #expect(
            try await bench.fixture.repository.approve(code: shown.hash, memberName: "Ann")
                == .bound(openID: "ou_1", member: "Ann", workspace: "acme"))
        let after = Self.text(await bench.get(link, "/wait"))
        #expect(after.contains("You are Ann") && !after.contains("refresh"))
    }

    @Test("S15: a name that somebody else has is approved for nobody without a word about it; the code stays good")
    func takenName() async throws {
        let bench = try await Bench()
        let repository = bench.fixture.repository
        func code(_ openID: String, _ installation: InstallationID? = nil) async throws -> SecretHash {
            try await bench.makeLink(for: openID, installation: installation).approvalCode.hash
        }
        let ann = try await code("ou_ann")
        #expect(try await repository.applicant(code: ann)?.openID == "ou_ann")
        #expect(
            try await repository.approve(code: ann, memberName: "Ann")
                == .bound(openID: "ou_ann", member: "Ann", workspace: "acme"))
        let eve = try await code("ou_eve")
        #expect(try await repository.approve(code: eve, memberName: "Ann") == .memberTaken(member: "Ann"))
        // With another bot one person has another open_id, and so has another person.
        let other = InstallationID(rawValue: bench.fixture.lease.installation.rawValue + 1)
        let elsewhere = try await code("ou_b", other)
        #expect(try await repository.approve(code: elsewhere, memberName: "Ann") == .memberTaken(member: "Ann"))
        #expect(try await bench.bindings() == ["(ou_ann,Ann)"])
        #expect(
            try await repository.approve(code: elsewhere, memberName: "Ann", isSamePerson: true)
                == .bound(openID: "ou_b", member: "Ann", workspace: "acme"))
        #expect(
            try await repository.approve(code: eve, memberName: "Eve")
                == .bound(openID: "ou_eve", member: "Eve", workspace: "acme"))
    }

    @Test("S15: two strangers are approved for one name at once: one of them gets it")
    func nameAtOnce() async throws {
        let bench = try await Bench()
        let codes = try await [bench.makeLink(for: "ou_1"), bench.makeLink(for: "ou_2")].map(\.approvalCode.hash)
        let outcomes = try await withThrowingTaskGroup(of: ApprovalOutcome.self) { group in
            for code in codes {
                group.addTask { try await bench.fixture.repository.approve(code: code, memberName: "Ann") }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.count { $0 == .memberTaken(member: "Ann") } == 1, "\(outcomes)")
        #expect(try await bench.bindings().count == 1)
    }

    @Test("S15: nobody is let in to a bot that was revoked")
    func revokedBot() async throws {
        let bench = try await Bench()
        let code = try await bench.makeLink().approvalCode.hash
        #expect(try await bench.fixture.repository.revokeInstallation("cli_a", by: "ada@vm"))
        #expect(try await bench.fixture.repository.applicant(code: code)?.state == .revoked)
        #expect(try await bench.fixture.repository.approve(code: code, memberName: "Ann") == .revoked)
        #expect(try await bench.bindings().isEmpty)
    }

    @Test("replay: a link is good once, by whichever way, and a code too")
    func replay() async throws {
        let bench = try await Bench()
        let (first, second) = (try await bench.makeLink(), try await bench.makeLink(for: "ou_2"))
        let (ann, bob) = (try await bench.invite("Ann"), try await bench.invite("Bob"))
        #expect(await bench.enter(ann, at: first).status == 303)
        for code in [ann, bob] {
            let again = await bench.enter(code, at: first)
            #expect(again.status == 410 && Self.text(again).contains("This link was used"))
        }
        let reused = await bench.enter(ann, at: second)
        #expect(reused.status == 422 && Self.text(reused).contains("used already"))
        #expect(await bench.enter(bob, at: second).status == 303)
        #expect(
            try await bench.fixture.repository.approve(code: second.approvalCode.hash, memberName: "Eve") == .used)
        #expect(try await bench.bindings() == ["(ou_1,Ann)", "(ou_2,Bob)"])
    }

    @Test("expiry, by the database's clock: of the link, and of the code")
    func expiry() async throws {
        let bench = try await Bench()
        let (old, new) = (try await bench.makeLink(), try await bench.makeLink(for: "ou_2"))
        let (ann, bob) = (try await bench.invite("Ann"), try await bench.invite("Bob"))
        #expect(
            try await bench.fixture.pool.rows(
                "SELECT count(*) FROM gateway.binding_token WHERE expires_at - now() BETWEEN '14 minutes' AND '15 minutes'"
            )
                == ["(2)"])
        try await bench.fixture.pool.run(
            "UPDATE gateway.binding_token SET expires_at = now() - interval '1 second' WHERE open_id = 'ou_1'")
        try await bench.fixture.pool.run(
            "UPDATE gateway.invitation SET expires_at = now() - interval '1 second' WHERE member = 'Bob'")
        for response in [await bench.get(old), await bench.get(old, "/wait"), await bench.enter(ann, at: old)] {
            #expect(response.status == 410 && Self.text(response).contains("This link is too old"))
        }
        let late = await bench.enter(bob, at: new)
        #expect(late.status == 422 && Self.text(late).contains("That code is too old"))
        #expect(try await bench.bindings().isEmpty)
        #expect(await bench.enter(ann, at: new).status == 303, "what an expired link was given is not used up")
        #expect(try await bench.bindings() == ["(ou_2,Ann)"])
        try await bench.fixture.pool.run("UPDATE gateway.binding_token SET expires_at = now() - interval '1 second'")
        #expect(await bench.get(new).status == 410, "who finds the link later does not learn whose it was")
    }

    @Test("the wrong person: a code for one is refused to another, and a member's place is never taken over")
    func wrongPerson() async throws {
        let bench = try await Bench()
        let (mine, theirs) = (try await bench.makeLink(for: "ou_me"), try await bench.makeLink(for: "ou_other"))
        let personal = try await bench.invite("Ann", openID: "ou_me")
        let refused = await bench.enter(personal, at: theirs)
        #expect(refused.status == 422 && Self.text(refused).contains("for somebody else"))
        #expect(await bench.enter(personal, at: mine).status == 303)
        let second = try await bench.invite("Ann")
        let taken = await bench.enter(second, at: theirs)
        #expect(taken.status == 422 && Self.text(taken).contains("connected already, with another account"))
        #expect(try await bench.bindings() == ["(ou_me,Ann)"])
        #expect(
            bench.log.events(named: "pairing.refused").map { $0["reason"] } == [
                .text("wrong_person"), .text("member_taken"),
            ])
    }

    @Test("a link binds the person who got it to the bot that sent it, whoever opens it")
    func boundToPersonAndBot() async throws {
        let bench = try await Bench()
        let other = try await bench.fixture.pool.rows("SELECT id FROM gateway.installation WHERE app_id = 'cli_b'")
        let id = try #require(Int64(other[0].dropFirst().dropLast()))
        let link = try await bench.makeLink(for: "ou_b", installation: InstallationID(rawValue: id))
        #expect(await bench.enter(try await bench.invite("Ann"), at: link).status == 303)
        #expect(
            try await bench.fixture.pool.rows(
                "SELECT i.app_id, b.open_id FROM gateway.member_binding b JOIN gateway.installation i ON i.id = b.installation_id"
            ) == ["(cli_b,ou_b)"])
        // The same person, the other bot: the same member.
        let first = try await bench.makeLink(for: "ou_a")
        #expect(await bench.enter(try await bench.invite("Ann"), at: first).status == 303)
        #expect(try await bench.fixture.pool.rows("SELECT name FROM gateway.member") == ["(Ann)"])
    }

    @Test(
        "a code behind a key is good with that key, also when it is a previous one, and without it is nobody's")
    func keyedCode() async throws {
        let key = try SealingKey(String(repeating: "0b", count: 32))
        let next = try SealingKey(String(repeating: "0c", count: 32))
        let bench = try await Bench(keys: SealingKeys(current: key))
        var people = 0
        func enter(_ code: BindingCode) async throws -> Int {
            people += 1
            return await bench.enter(code, at: try await bench.makeLink(for: "ou_\(people)")).status
        }
        func invite() async throws -> BindingCode {
            let code = BindingCode.short()
            #expect(
                try await bench.fixture.repository.inviteMember(
                    "Member \(people)", to: "acme", openID: nil, code: code.hash(with: key), valid: .seconds(60)))
            return code
        }
        #expect(try await enter(invite()) == 303)
        let code = try await invite()
        bench.site.update(SealingKeys(current: next))
        #expect(try await enter(code) == 422)
        bench.site.update(SealingKeys(current: next, previous: [key]))
        #expect(try await enter(code) == 303)
        // What a version before this one made, and what a command without the key makes.
        for code in [BindingCode.short(), BindingCode()] {
            #expect(
                try await bench.fixture.repository.inviteMember(
                    "Member \(people)", to: "acme", openID: nil, code: code.hash, valid: .seconds(60)))
            #expect(try await enter(code) == 303)
        }
    }

    @Test("an invitation is good in its workspace alone")
    func otherWorkspace() async throws {
        let bench = try await Bench()
        try await bench.fixture.repository.applyAgent(workspace: "other", name: "support", runtime: "default")
        let code = BindingCode()
        #expect(
            try await bench.fixture.repository.inviteMember(
                "Ann", to: "other", openID: nil, code: code.hash, valid: .seconds(60)))
        let answer = await bench.enter(code, at: try await bench.makeLink())
        #expect(answer.status == 422 && Self.text(answer).contains("That code is not right"))
        #expect(
            try await !bench.fixture.repository.inviteMember(
                "Ann", to: "nowhere", openID: nil, code: code.hash, valid: .seconds(60)))
    }

    @Test("two tabs at once: one is bound, and everybody hears what holds then")
    func twoTabs() async throws {
        let bench = try await Bench()
        for round in 0..<10 {
            let link = try await bench.makeLink(for: "ou_\(round)")
            let codes = [try await bench.invite("Ann \(round)"), try await bench.invite("Bob \(round)")]
            let statuses = await withTaskGroup(of: Int.self) { group in
                for code in codes { group.addTask { await bench.enter(code, at: link).status } }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.contains(303) && statuses.allSatisfy { [303, 410].contains($0) }, "\(statuses)")
            #expect(try await bench.bindings().count == round + 1)
            #expect(
                try await bench.fixture.pool.rows(
                    "SELECT count(*) FROM gateway.invitation WHERE used_at IS NOT NULL AND member LIKE '%\(round)'")
                    == ["(1)"], "the other code is good yet")
        }
        #expect(
            try await bench.fixture.pool.rows("SELECT count(*) FROM gateway.outbox") == ["(10)"], "each is told once")
    }

    @Test("one code at two links at once lets one person in")
    func twoLinks() async throws {
        let bench = try await Bench()
        for round in 0..<10 {
            let code = try await bench.invite("Ann \(round)")
            let links = [try await bench.makeLink(for: "ou_a\(round)"), try await bench.makeLink(for: "ou_b\(round)")]
            let statuses = await withTaskGroup(of: Int.self) { group in
                for link in links { group.addTask { await bench.enter(code, at: link).status } }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.sorted() == [303, 422])
            #expect(try await bench.bindings().count == round + 1)
        }
    }

    @Test("brute force: five wrong codes end a link, in however many tabs, and the right one comes too late then")
    func bruteForce() async throws {
        let bench = try await Bench()
        let (link, code) = (try await bench.makeLink(), try await bench.invite("Ann"))
        for left in [4, 3, 2, 1] {
            let answer = await bench.enter(BindingCode(), at: link)
            #expect(answer.status == 422 && Self.text(answer).contains("Tries left: \(left)."))
        }
        #expect(await bench.enter("not a code", at: link).status == 422, "what can't be a code is no try")
        // Ten at once, each from an address of its own.
        let statuses = await withTaskGroup(of: Int.self) { group in
            for index in 0..<10 {
                group.addTask {
                    await bench.enter(BindingCode().description, at: link, from: "192.0.2.\(100 + index)").status
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(statuses.allSatisfy { $0 == 410 })
        let late = await bench.enter(code, at: link)
        #expect(late.status == 410 && Self.text(late).contains("Too many wrong codes"))
        #expect(try await bench.bindings().isEmpty)
        #expect(try await bench.fixture.pool.rows("SELECT wrong_codes FROM gateway.binding_token") == ["(5)"])
    }

    @Test("rate limit: who tries out links is refused after twenty, for a minute; a good link never is")
    func rateLimit() async throws {
        let bench = try await Bench()
        for _ in 0..<20 { #expect(await bench.get(PairingLink()).status == 404) }
        let refused = await bench.get(PairingLink())
        #expect(refused.status == 429 && refused.headers["Retry-After"] == "60")
        #expect(await bench.get(PairingLink(), from: "192.0.2.2").status == 404)
        // Behind a proxy that names nobody, the twenty were somebody else's.
        let (link, code) = (try await bench.makeLink(), try await bench.invite("Ann"))
        #expect(await bench.get(link).status == 200)
        #expect(await bench.enter(code, at: link).status == 303)
        bench.wait(.seconds(60))
        #expect(await bench.get(PairingLink()).status == 404)
    }

    @Test("a subscriber's IPv6 addresses, all of one /64, count as one client")
    func subscribers() async throws {
        let bench = try await Bench()
        func get(for client: String) async -> Int {
            await bench.site.answer(
                HTTPRequest(
                    method: "GET", path: "/pair/wrong", headers: ["x-forwarded-for": client],
                    clientAddress: "127.0.0.1")
            ).status
        }
        for index in 1...20 { #expect(await get(for: "2001:db8:1:2:\(index)::\(index)") == 404) }
        #expect(await get(for: "2001:db8:1:2:ffff::") == 429)
        #expect(await get(for: "[2001:DB8:1:2::1]:4711") == 429)
        #expect(await get(for: "2001:db8:1:3::1") == 404)
        for index in 1...20 { #expect(await get(for: "::ffff:198.51.100.7") == 404, "\(index)") }
        #expect(await get(for: "198.51.100.7") == 429)
        #expect(await get(for: "198.51.100.7:4711") == 429)
        #expect(await get(for: "198.51.100.8") == 404)
    }

    @Test("a proxy on this machine that does not say whom it speaks for is told of once")
    func hiddenClients() async throws {
        let bench = try await Bench()
        let link = try await bench.makeLink()
        #expect(await bench.get(link, from: "192.0.2.1").status == 200)
        let forwarded = HTTPRequest(
            method: "GET", path: "/pair/\(link.text)", headers: ["x-forwarded-for": "192.0.2.1"],
            clientAddress: "127.0.0.1")
        #expect(await bench.site.answer(forwarded).status == 200)
        #expect(bench.log.events(named: "pairing.client_hidden").isEmpty)
        for _ in 0..<3 { #expect(await bench.get(link, from: "127.0.0.1").status == 200) }
        #expect(bench.log.events(named: "pairing.client_hidden").map(\.level) == [.warning])
    }

    @Test("behind a proxy on this machine a client is who the proxy says; elsewhere nobody's word counts")
    func proxied() async throws {
        let bench = try await Bench()
        func get(_ path: String, from peer: String, for client: String) async -> Int {
            await bench.site.answer(
                HTTPRequest(
                    method: "GET", path: path, headers: ["x-forwarded-for": "203.0.113.9, \(client)"],
                    clientAddress: peer)
            ).status
        }
        for _ in 0..<20 { _ = await get("/pair/wrong", from: "127.0.0.1", for: "198.51.100.1") }
        #expect(await get("/pair/wrong", from: "127.0.0.1", for: "198.51.100.1") == 429)
        #expect(await get("/pair/wrong", from: "127.0.0.1", for: "198.51.100.2") == 404)
        for index in 0..<20 { _ = await get("/pair/wrong", from: "192.0.2.7", for: "198.51.100.\(index)") }
        #expect(await get("/pair/wrong", from: "192.0.2.7", for: "198.51.100.99") == 429)
    }

    @Test("what a browser must not do changes nothing, and is told so")
    func badRequests() async throws {
        let bench = try await Bench()
        let (link, code) = (try await bench.makeLink(), try await bench.invite("Ann"))
        func send(
            _ method: String, _ rest: String = "", type: String = "application/x-www-form-urlencoded", body: String
        )
            async -> Int
        {
            await bench.site.answer(
                HTTPRequest(
                    method: method, path: "/pair/\(link.text)\(rest)", headers: ["content-type": type],
                    body: Array(body.utf8))
            ).status
        }
        #expect(await send("PUT", body: "code=\(code)") == 405)
        #expect(await send("POST", "/wait", body: "code=\(code)") == 405)
        #expect(await send("POST", type: "application/json", body: "code=\(code)") == 400)
        #expect(await send("POST", body: "other=\(code)") == 400)
        #expect(await send("HEAD", body: "") == 200)
        #expect(await send("GET", "?code=\(code)", body: "") == 404)
        #expect(try await bench.bindings().isEmpty)
        #expect(try await bench.fixture.pool.rows("SELECT wrong_codes FROM gateway.binding_token") == ["(0)"])
    }

    @Test("a page that only a preview looked at is as good as before")
    func previews() async throws {
        let bench = try await Bench()
        let link = try await bench.makeLink()
        for _ in 0..<100 { #expect(await bench.get(link).status == 200) }
        #expect(await bench.enter(try await bench.invite("Ann"), at: link).status == 303)
    }

    @Test("a revoked bot's link is good for nothing; a member who has another link is one already")
    func overtaken() async throws {
        let bench = try await Bench()
        let (first, second) = (try await bench.makeLink(), try await bench.makeLink())
        let (ann, bob) = (try await bench.invite("Ann"), try await bench.invite("Bob"))
        #expect(await bench.enter(ann, at: first).status == 303)
        #expect(Self.text(await bench.get(second)).contains("You are Ann"))
        #expect(await bench.enter(bob, at: second).status == 303)
        #expect(try await bench.bindings() == ["(ou_1,Ann)"])
        #expect(
            try await bench.fixture.pool.rows("SELECT member FROM gateway.invitation WHERE used_at IS NULL") == [
                "(Bob)"
            ])

        let stranger = try await bench.makeLink(for: "ou_2")
        try await bench.fixture.pool.run("UPDATE gateway.installation SET status = 'revoked'")
        for response in [await bench.get(stranger), await bench.enter(bob, at: stranger)] {
            #expect(response.status == 410 && Self.text(response).contains("This bot is gone"))
        }
    }

    @Test(
        "an invitation replaces the one before, ends with its member's removal, and shows in the list while it is good")
    func invitations() async throws {
        let bench = try await Bench()
        let repository = bench.fixture.repository
        let (old, new) = (try await bench.invite("Ann"), try await bench.invite("Ann", valid: .seconds(3_600)))
        let listed = try await repository.members(limit: 100).rows
        #expect(listed.map(\.name) == ["Ann"] && listed.map(\.origin) == [""])
        #expect(try #require(listed.first?.invitedFor) > .seconds(3_500))
        let link = try await bench.makeLink()
        #expect(await bench.enter(old, at: link).status == 422)
        #expect(try await repository.removeMember("Ann", from: "acme") == (false, true))
        #expect(try await repository.removeMember("Ann", from: "acme") == (false, false))
        #expect(await bench.enter(new, at: link).status == 422)
        #expect(await bench.enter(try await bench.invite("Ann"), at: link).status == 303)
        #expect(try await repository.members(limit: 100).rows.map(\.invitedFor) == [nil])
        #expect(try await repository.removeMember("Ann", from: "acme") == (true, false))
        #expect(try await bench.bindings().isEmpty)
    }

    @Test("while the database is away the page says so, once in the log, and goes on after")
    func outage() async throws {
        let bench = try await Bench()
        let link = try await bench.makeLink()
        try await bench.fixture.pool.run("ALTER TABLE gateway.binding_token RENAME TO away")
        for _ in 0..<3 {
            let response = await bench.get(link)
            #expect(response.status == 503 && response.headers["Retry-After"] == "10")
        }
        try await bench.fixture.pool.run("ALTER TABLE gateway.away RENAME TO binding_token")
        #expect(await bench.get(link).status == 200)
        #expect(bench.log.events(named: "database.unavailable").count == 1)
        #expect(bench.log.events(named: "database.recovered").map { $0["failures"] } == [.integer(3)])
    }

    @Test("an unknown link is answered in the browser's language, a known one in its bot's")
    func languages() async throws {
        let bench = try await Bench()
        func get(_ path: String, _ language: String) async -> String {
            Self.text(
                await bench.site.answer(
                    HTTPRequest(method: "GET", path: path, headers: ["accept-language": language])))
        }
        #expect(await get("/", "zh-CN,zh;q=0.9,en;q=0.8").contains("链接不存在"))
        #expect(await get("/", "de-DE, en-US;q=0.9, zh;q=0.1").contains("No such link"))
        #expect(await get("/", "").contains("No such link"))
        let link = try await bench.makeLink()
        #expect(await get("/pair/\(link.text)", "zh-CN").contains("Connect with"))
        try await bench.fixture.pool.run("UPDATE gateway.installation SET locale = 'zh'")
        #expect(await get("/pair/\(link.text)", "en").contains("绑定 support"))
    }
}
