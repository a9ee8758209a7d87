import AsyncRuntime
import Foundation
import Lark
import Postgres
import TestSupport
import Testing

@testable import Gateway
@testable import Store

@Suite("The outbox")
struct OutboxTests {
    private func notices(_ fixture: Fixture) async throws -> [String] {
        try await fixture.pool.rows(
            "SELECT payload ->> 'notice', receive_id, reply_to FROM gateway.outbox ORDER BY seq")
    }

    /// One more message, whose window closes.
    private func close(_ id: String, thread: String = "", _ fixture: Fixture) async throws {
        let message = Fixture.message(id, chat: "oc_1", thread: thread, type: .group)
        let session = try #require(try await fixture.ingest(message)[0].session)
        try await fixture.flush(session)
    }

    @Test("a notice says the same at most once in an hour to a chat, and to each topic by itself")
    func repeatedNotices() async throws {
        let fixture = try await Fixture()
        try await fixture.pool.run("UPDATE gateway.agent SET runtime_id = NULL")
        try await close("om_1", fixture)
        try await close("om_2", fixture)
        #expect(try await notices(fixture) == ["(agent_offline,oc_1,)"])
        try await close("om_3", thread: "omt_1", fixture)
        #expect(try await notices(fixture) == ["(agent_offline,oc_1,)", "(agent_offline,oc_1,om_3)"])
        // Another thing to say.
        try await fixture.pool.run("UPDATE gateway.agent SET archived_at = now()")
        try await close("om_4", fixture)
        #expect(try await notices(fixture).suffix(1) == ["(agent_archived,oc_1,)"])
        // An hour later, and after one that nobody got.
        try await fixture.pool.run("UPDATE gateway.outbox SET created_at = created_at - interval '61 minutes'")
        try await close("om_5", fixture)
        try await close("om_6", fixture)
        #expect(try await notices(fixture).count == 4)
        try await fixture.pool.run("UPDATE gateway.outbox SET dead_at = now()")
        try await close("om_7", fixture)
        #expect(try await notices(fixture).count == 5)
        // What answers a command is an answer each time.
        try await fixture.ingest(Fixture.message("om_8", "/help"), Fixture.message("om_9", "/help"))
        #expect(try await notices(fixture).suffix(2) == ["(help,oc_1,om_8)", "(help,oc_1,om_9)"])
    }

    @Test("K3, C23: each failed run is told, whatever failed before and whatever was answered between")
    func repeatedFailures() async throws {
        let fixture = try await Fixture()
        for (index, reason) in ["broken", nil, "broken", "broken"].enumerated() {
            let session = try #require(try await fixture.ingest(Fixture.message("om_\(index)"))[0].session)
            try await fixture.flush(session)
            let task = try #require(try await fixture.claim())
            if let reason {
                try await fixture.repository.failTask(task.id, worker: "w1", error: reason)
            } else {
                try await fixture.repository.completeTask(task.id, worker: "w1", reply: "answer")
            }
        }
        #expect(
            try await fixture.pool.rows("SELECT kind, payload ->> 'reason' FROM gateway.outbox ORDER BY seq") == [
                "(notice,broken)", "(reply,)", "(notice,broken)", "(notice,broken)",
            ])
    }

    @Test("K3: an agent that is offline, back, and offline again says so again; while it stays away, once an hour")
    func offlineAgain() async throws {
        let fixture = try await Fixture()
        func setRuntime(_ runtime: String) async throws {
            try await fixture.pool.run("UPDATE gateway.agent SET runtime_id = \(runtime)")
        }
        try await setRuntime("NULL")
        try await close("om_1", fixture)
        try await close("om_2", fixture)
        #expect(try await notices(fixture) == ["(agent_offline,oc_1,)"])
        try await setRuntime("'default'")
        try await close("om_3", fixture)
        let task = try #require(try await fixture.claim())
        try await fixture.repository.completeTask(task.id, worker: "w1", reply: "")
        try await setRuntime("NULL")
        try await close("om_4", fixture)
        try await close("om_5", fixture)
        #expect(try await notices(fixture) == ["(agent_offline,oc_1,)", "(agent_offline,oc_1,)"])
    }

    @Test(
        "R4: an answer that died is told to its chat, once; where the chat or the app is refused, nothing more is tried"
    )
    func undelivered() async throws {
        let fixture = try await Fixture()
        for told in ["refused by the content check", nil] {
            let session = try #require(try await fixture.ingest(Fixture.message("om_\(told ?? "")"))[0].session)
            try await fixture.flush(session)
            let task = try #require(try await fixture.claim())
            try await fixture.repository.completeTask(task.id, worker: "w1", reply: "answer")
            let row = try #require(try await take(fixture).first)
            try await fixture.repository.settle(row, .dead(error: "code 1", told: told))
            guard told != nil else { break }
            let notice = try #require(try await take(fixture).first)
            #expect(notice.kind == "notice" && notice.payload.contains("refused by the content check"))
            // A notice that dies is told to nobody.
            try await fixture.repository.settle(notice, .dead(error: "code 2", told: "x"))
        }
        #expect(try await take(fixture).isEmpty)
        #expect(
            try await fixture.pool.rows("SELECT kind, dead_at IS NOT NULL FROM gateway.outbox ORDER BY seq") == [
                "(reply,t)", "(notice,t)", "(reply,t)",
            ])
    }

    private func put(_ count: Int, to chat: String, _ fixture: Fixture) async throws {
        try await fixture.pool.run(
            """
            INSERT INTO gateway.outbox (installation_id, kind, receive_id_type, receive_id, payload)
            SELECT $1, 'reply', 'chat_id', $2, '{"text": "x"}' FROM generate_series(1, \(count))
            """, [.int(fixture.lease.installation.rawValue), .text(chat)])
    }

    private func take(_ fixture: Fixture, held: [InstallationID] = []) async throws -> [OutboxRow] {
        try await fixture.repository.takeOutbox(holder: "test", limit: 10, visibility: .seconds(60), held: held)
    }

    @Test("a bot that has much to say lets the others speak, and where they have nothing it has every turn")
    func fairness() async throws {
        let fixture = try await Fixture(apps: ["cli_a", "cli_b", "cli_c"])
        func put(_ count: Int, _ app: String) async throws {
            try await fixture.pool.run(
                """
                INSERT INTO gateway.outbox (installation_id, kind, receive_id_type, receive_id, payload)
                SELECT i.id, 'reply', 'chat_id', 'oc_' || n, '{}' FROM gateway.installation i, generate_series(1, $2) n
                WHERE i.app_id = $1
                """, [.text(app), .int(Int64(count))])
        }
        func take() async throws -> [String: Int] {
            let rows = try await fixture.repository.takeOutbox(holder: "test", limit: 10, visibility: .seconds(60))
            let names = try await fixture.pool.rows("SELECT id, app_id FROM gateway.installation").map {
                $0.dropFirst().dropLast().split(separator: ",").map(String.init)
            }
            let apps = Dictionary(uniqueKeysWithValues: names.map { (Int64($0[0]) ?? 0, $0[1]) })
            return rows.reduce(into: [:]) { $0[apps[$1.lease.installation.rawValue] ?? "", default: 0] += 1 }
        }
        try await put(40, "cli_a")
        #expect(try await take() == ["cli_a": 10])
        try await put(2, "cli_b")
        try await put(40, "cli_c")
        #expect(try await take() == ["cli_a": 4, "cli_b": 2, "cli_c": 4])
        #expect(try await take() == ["cli_a": 5, "cli_c": 5])
    }

    @Test("one row of each chat is taken at a time, the oldest; none of an app that is held back")
    func taking() async throws {
        let fixture = try await Fixture()
        try await put(3, to: "oc_1", fixture)
        try await put(1, to: "oc_2", fixture)
        #expect(try await take(fixture, held: [fixture.lease.installation]).isEmpty)
        let rows = try await take(fixture)
        #expect(Set(rows.map(\.pacedChat)) == ["oc_1", "oc_2"])
        #expect(try await take(fixture).isEmpty)
        for row in rows { try await fixture.repository.settle(row, .sent(larkMessageID: "om")) }
        #expect(try await take(fixture).map(\.pacedChat) == ["oc_1"])
    }

    @Test(
        "what a replica took and does not know of, since the answer got lost, it may take again; what it sends stays its"
    )
    func lostAnswers() async throws {
        let fixture = try await Fixture()
        for chat in ["oc_1", "oc_2", "oc_3"] { try await put(2, to: chat, fixture) }
        let rows = try await take(fixture)
        let (known, retried) = (rows[0], rows[1])
        try await fixture.repository.settle(retried, .retry(in: .seconds(600), error: "HTTP 500"))
        try await fixture.repository.returnOutbox(holder: "somebody else", except: [])
        #expect(try await take(fixture).isEmpty)
        try await fixture.repository.returnOutbox(holder: "test", except: [known.id])
        let again = try await take(fixture)
        #expect(again.map(\.id) == [rows[2].id])
        #expect(again.map(\.attempts) == [1], "the lost one was none")
    }

    @Test("a row of a kind that only a newer version knows keeps no other from being taken")
    func unknownKind() async throws {
        let fixture = try await Fixture()
        try await put(1, to: "oc_1", fixture)
        try await fixture.pool.run("ALTER TABLE gateway.outbox DROP CONSTRAINT outbox_kind")
        try await fixture.pool.run("UPDATE gateway.outbox SET kind = 'from_the_future'")
        try await put(1, to: "oc_2", fixture)
        #expect(try await Set(take(fixture).map(\.kind)) == ["from_the_future", "reply"])
    }

    @Test("what was given up is listed, sent again when asked to, or dropped; what waits behind a dropped row goes on")
    func administration() async throws {
        let fixture = try await Fixture(apps: ["cli_a", "cli_b"])
        let repository = fixture.repository
        try await put(2, to: "oc_1", fixture)
        let first = try #require(try await take(fixture).first)
        #expect(try await repository.retryOutbox(first.id, of: nil) == 0, "it is being sent")
        try await repository.settle(first, .dead(error: "the bot is not in the chat", told: nil))
        let second = try #require(try await take(fixture).first)
        try await repository.settle(second, .retry(in: .seconds(600), error: "HTTP 500"))

        let measured = try await repository.measureOutbox(of: [fixture.lease.installation])
        #expect(measured.waiting == 1)
        #expect(measured.dead == 1)
        #expect(measured.oldest < .seconds(60))
        let dead = try await repository.outbox(isDead: true, of: "cli_a", limit: 10).rows
        #expect(dead.map(\.id) == [first.id])
        #expect(dead.map(\.lastError) == ["the bot is not in the chat"])
        let waiting = try await repository.outbox(isDead: false, of: nil, limit: 10).rows
        #expect(waiting.map(\.id) == [second.id])
        #expect(waiting.allSatisfy { $0.nextIn > .seconds(500) && $0.attempts == 1 })
        #expect(try await repository.outbox(isDead: true, of: "cli_b", limit: 10).rows.isEmpty)

        #expect(try await repository.retryOutbox(nil, of: "cli_b") == 0)
        #expect(try await repository.retryOutbox(nil, of: "cli_a") == 1)
        #expect(try await take(fixture).map(\.id) == [first.id], "in its old place")
        #expect(try await repository.dropOutbox(first.id))
        #expect(try await !repository.dropOutbox(first.id))
        #expect(try await repository.retryOutbox(second.id, of: nil) == 1)
        #expect(try await take(fixture).map(\.id) == [second.id])
        // Who sends the dropped one after all has nothing to say about it.
        try await repository.settle(first, .sent(larkMessageID: "om_late"))
        #expect(
            try await fixture.pool.rows("SELECT last_error FROM gateway.outbox WHERE dead_at IS NOT NULL")
                == [#"("dropped by command")"#])
    }
}
