import AsyncRuntime
import Foundation
import Lark
import Postgres
import TestSupport
import Testing

@testable import Gateway

@Suite("The dispatcher")
struct DispatcherTests {
    private static let lease = Lease(installation: InstallationID(rawValue: 1), generation: 1)

    /// A dispatcher over a store of the test's, and the acks that it gave.
    private struct Bench {
        let acks = Recorder<String>()
        let log = LogRecorder()
        let fenced = Recorder<Lease>()
        let batcher = RunBatcher(Batching(), wakeUp: ManualWakeUp()) { _, _ in [:] }
        let dispatcher: Dispatcher

        init(limits: Dispatcher.Limits = .init(), store: @escaping Dispatcher.Store) {
            let fenced = fenced
            dispatcher = Dispatcher(
                batcher: batcher, limits: limits, outboxHasWork: Doorbell(), logger: log.logger, metrics: Metrics(),
                fenced: { fenced.record($0) }, store: store)
        }

        func receive(_ id: String, chat: String = "oc_1", text: String = "x") async {
            let acks = acks
            await dispatcher.receive(Fixture.message(id, text, chat: chat), under: lease) { code in
                acks.record("\(id) \(code.rawValue)")
            }
        }
    }

    private static func stored(_ rows: [IngestRow]) -> [IngestResult] {
        rows.map { _ in
            IngestResult(
                verdict: .ingested, session: SessionKey(installation: lease.installation, session: 1), position: 1,
                hasOpenWindow: true)
        }
    }

    @Test("I1: the ack comes after the commit, and opens the window")
    func acks() async throws {
        let release = AsyncEvent()
        let bench = Bench { rows, _, _ in
            await release.wait()
            return Self.stored(rows)
        }
        await bench.receive("om_1")
        #expect(bench.acks.all == [])
        release.set()
        await bench.dispatcher.drain()
        #expect(bench.acks.all == ["om_1 200"])
        #expect(bench.batcher.openWindows == 1)
    }

    @Test("what arrives while a statement is in flight goes out together in the next, in order")
    func batches() async throws {
        let release = AsyncEvent()
        let batches = Recorder<[String]>()
        let bench = Bench { rows, _, _ in
            batches.record(rows.map(\.message.messageID))
            if batches.all.count == 1 { await release.wait() }
            return Self.stored(rows)
        }
        await bench.receive("om_1")
        #expect(try await eventually { batches.all.count == 1 })
        for number in 2...5 { await bench.receive("om_\(number)") }
        release.set()
        await bench.dispatcher.drain()
        #expect(batches.all == [["om_1"], ["om_2", "om_3", "om_4", "om_5"]])
    }

    @Test("B15: a database that fails acks 500, says so once per batch, and the next delivery is handled at once")
    func databaseFails() async throws {
        let fails = Mutex(true)
        let bench = Bench { rows, _, _ in
            if fails.withLock({ $0 }) { throw PostgresError.connection("gone") }
            return Self.stored(rows)
        }
        await bench.receive("om_1")
        await bench.dispatcher.drain()
        fails.withLock { $0 = false }
        await bench.receive("om_1")
        await bench.dispatcher.drain()
        #expect(bench.acks.all == ["om_1 500", "om_1 200"])
        #expect(bench.log.events(named: "ingest.failed").count == 1)
        #expect(bench.batcher.openWindows == 1)
    }

    @Test("I9: one row that will never fit is dropped as invalid; its neighbours are stored in order")
    func poisoned() async throws {
        let release = AsyncEvent()
        let order = Recorder<String>()
        let bench = Bench { rows, _, _ in
            await release.wait()
            guard !rows.contains(where: { $0.message.content == "poison" }) else {
                throw PostgresError.statement(
                    StatementError(statement: "x", sqlState: "22021", message: "", detail: nil, constraint: nil))
            }
            for row in rows { order.record(row.message.messageID) }
            return rows.map { row in
                row.message.fault == .invalidEvent ? IngestResult(verdict: .invalidEvent) : Self.stored([row])[0]
            }
        }
        await bench.receive("om_0")
        for number in 1...9 { await bench.receive("om_\(number)", text: number == 6 ? "poison" : "fine") }
        release.set()
        await bench.dispatcher.drain()
        #expect(order.all == (0...9).map { "om_\($0)" })
        #expect(bench.acks.all == (0...9).map { "om_\($0) 200" })
        #expect(
            bench.log.events(named: "message.dropped").compactMap { $0["lark_message_id"] } == [
                LogEvent.Value.text("om_6")
            ])
    }

    @Test(
        "a deadlock, and a constraint that another commit broke, are tried again at once",
        arguments: ["40P01", "23503"])
    func passing(sqlState: String) async throws {
        let calls = Mutex(0)
        let bench = Bench { rows, _, _ in
            let call = calls.withLock { count in
                count += 1
                return count
            }
            guard call > 2 else {
                throw PostgresError.statement(
                    StatementError(statement: "x", sqlState: sqlState, message: "", detail: nil, constraint: nil))
            }
            return Self.stored(rows)
        }
        await bench.receive("om_1")
        await bench.dispatcher.drain()
        #expect(bench.acks.all == ["om_1 200"])
    }

    @Test("I7, D10: what the database fenced off is not acked, and the lease is reported lost")
    func fenced() async throws {
        let bench = Bench { rows, _, _ in rows.map { _ in IngestResult(verdict: .fenced) } }
        await bench.receive("om_1")
        await bench.dispatcher.drain()
        #expect(bench.acks.all == [])
        #expect(bench.fenced.all == [Self.lease])
    }

    @Test("what waits is bounded by count and by bytes; beyond it acks are 500, said once")
    func overload() async throws {
        let release = AsyncEvent()
        var limits = Dispatcher.Limits()
        limits.maxWaiting = 3
        limits.maxWaitingBytes = 100_000
        let began = Doorbell()
        let bench = Bench(limits: limits) { rows, _, _ in
            began.ring()
            await release.wait()
            return Self.stored(rows)
        }
        await bench.receive("om_0")
        await began.wait(atMost: .seconds(20))
        await bench.receive("om_big", text: String(repeating: "x", count: 200_000))
        #expect(bench.acks.all == ["om_big 500"])
        for number in 1...5 { await bench.receive("om_\(number)") }
        #expect(bench.acks.all == ["om_big 500", "om_4 500", "om_5 500"])
        #expect(bench.log.events(named: "ingest.overloaded").count == 1)
        release.set()
        await bench.dispatcher.drain()
        #expect(bench.acks.all.filter { $0.hasSuffix("200") }.count == 4)
    }
}

@Suite("What goes out")
struct OutboundTests {
    @Test(
        "F2: a reply with Markdown signs is a card, plain text stays text",
        arguments: [
            ("```\ncode\n```", true), ("| a | b |", true), ("# Head", true), ("- item", true), ("1. item", true),
            ("**bold**", true), ("[a](https://b)", true), ("plain, with 3 * 4 - 2 and a_b", false), ("#hashtag", false),
        ])
    func markdown(text: String, isCard: Bool) {
        #expect(ReplyFormat.contents(text) == [isCard ? .markdownCard(text) : .text(text)])
    }

    @Test("a reply that is too long for one message is cut between paragraphs, and nothing is lost")
    func parts() {
        let paragraph = String(repeating: "ä", count: 100)
        let text = Array(repeating: paragraph, count: 30).joined(separator: "\n\n")
        let parts = TextParts.split(text, maxBytes: 1000)
        #expect(parts.allSatisfy { $0.utf8.count <= 1000 })
        #expect(parts.joined(separator: "\n\n") == text)
        let solid = TextParts.split(String(repeating: "語", count: 1000), maxBytes: 100)
        #expect(solid.allSatisfy { $0.utf8.count <= 100 })
        #expect(solid.joined() == String(repeating: "語", count: 1000))
        // A character of many parts stays one, unless it alone is too long.
        let family = String(repeating: "👨‍👩‍👧‍👦", count: 30)
        #expect(TextParts.split(family, maxBytes: 100).allSatisfy { $0.count * "👨‍👩‍👧‍👦".utf8.count == $0.utf8.count })
        let monster = "a" + String(repeating: "\u{301}", count: 500)
        #expect(TextParts.split(monster, maxBytes: 100).joined().unicodeScalars.elementsEqual(monster.unicodeScalars))
        #expect(TextParts.split("", maxBytes: 10) == [""])
    }

    @Test("no part is larger than the platform allows, as it counts: JSON in a string of JSON")
    func encodedParts() throws {
        var random = SeededGenerator(seed: 7)
        let pieces = [
            "\"", "\\", "\n", "\n\n", "/", "a", "語", " ", "word ", "\t", "```swift\n", "```\n", "\u{1}", "**b**",
        ]
        for _ in 0..<100 {
            let text = (0..<Int.random(in: 1...3_000, using: &random)).map { _ in random.pick(pieces) }.joined()
            for part in TextParts.split(text, maxBytes: 1_500) {
                let inner = String(
                    decoding: try JSONSerialization.data(withJSONObject: [part], options: .withoutEscapingSlashes),
                    as: UTF8.self)
                let outer = try JSONSerialization.data(withJSONObject: [inner])
                // The brackets and quotes around.
                #expect(outer.count <= 1_500 + 12)
            }
            let letters = { (text: String) in text.filter { !$0.isWhitespace } }
            #expect(letters(TextParts.split(text, maxBytes: 1_500).joined()) == letters(text))
        }
    }

    @Test("Markdown that is too long for one card becomes several; code that is cut goes on as code")
    func longMarkdown() {
        let code = "```swift\n" + (0..<3_000).map { "let value\($0) = \($0)\n" }.joined() + "```"
        let text = "# Head\n\n" + String(repeating: "Some *words* here.\n\n", count: 500) + code + "\n\nThe end."
        let cards = ReplyFormat.contents(text)
        #expect(cards.count > 2)
        for card in cards {
            guard case .markdownCard(let part) = card else {
                Issue.record("\(card)")
                continue
            }
            #expect(part.utf8.count < ReplyFormat.maxCardBytes)
            #expect(part.components(separatedBy: "```").count % 2 == 1, "every block has its end")
            #expect(!part.contains("let value") || part.contains("```swift"))
        }
    }

    @Test("a code is read as people type it, and what can't be one is refused")
    func codes() throws {
        let code = BindingCode()
        let typed = try #require(BindingCode(" " + code.description.lowercased().replacing("-", with: " ")))
        #expect(typed.hash == code.hash)
        #expect(BindingCode("12345") == nil && BindingCode("ILOU1-23456") == nil)
        #expect(BindingCode("oO0il-lI1ab")?.description == "00011-111AB")
    }

    @Test("every notice has its text in both languages")
    func notices() throws {
        for name in Notice.Name.allCases {
            for setAside in [false, true] {
                let payload = #"{"notice": "\#(name.rawValue)", "is_set_aside": \#(setAside)}"#
                let notice = try Notice(payload: #require(JSONValue(parsing: payload)))
                for code in [nil, "C"] {
                    let texts = InstallationSettings.Locale.allCases.map {
                        NoticeText.text(notice, by: "A", in: $0, code: code)
                    }
                    #expect(Set(texts.map(\.body)).count == 2)
                    #expect(texts.allSatisfy { $0.title == "A" && !$0.body.isEmpty })
                }
            }
        }
    }
}

@Suite("Who holds a lease")
struct ReplicaIdentityTests {
    @Test("a process that is gone is known dead; a living one, another host's and our own are not")
    func death() {
        let me = ReplicaIdentity.current()
        #expect(!me.knowsDead(me.name))
        #expect(!me.knowsDead("elsewhere/boot/1/4.5"))
        #expect(!me.knowsDead("garbage"))
        #expect(me.knowsDead("\(me.place)/999999999.1"))
        #expect(me.knowsDead("\(me.place)/1.999999999999"), "the same number, another start")
    }
}

@Suite("Metrics")
struct MetricsTests {
    @Test("counters and gauges are OpenMetrics text")
    func text() {
        let metrics = Metrics()
        metrics.add(to: .messages, "ingested")
        metrics.add(2, to: .messages, "ingested")
        metrics.set(.openWindows, to: 5)
        let text = metrics.openMetrics()
        #expect(text.contains("# TYPE lark_gateway_messages counter\n"))
        #expect(text.contains("lark_gateway_messages_total{verdict=\"ingested\"} 3\n"))
        #expect(text.contains("lark_gateway_open_windows 5\n"))
        #expect(text.contains("lark_gateway_flush_failures_total 0\n"))
        #expect(text.hasSuffix("# EOF\n"))
    }
}
