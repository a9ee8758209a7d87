import AsyncRuntime
import Foundation
import Lark
import Postgres
import TestSupport
import Testing

@testable import Gateway
@testable import Store

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

        func receive(_ id: String, chat: String = "oc_1", text: String = "x", receiptBytes: Int = 0) async {
            let acks = acks
            await dispatcher.receive(
                Fixture.message(id, text, chat: chat), under: lease, receiptBytes: receiptBytes
            ) { code in
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
                    StatementError(statement: "x", sqlState: "22021", message: "", constraint: nil))
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
                    StatementError(statement: "x", sqlState: sqlState, message: "", constraint: nil))
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

    @Test("what a chat and an app may have waiting is a share: others find room while one floods")
    func shares() throws {
        func row(_ app: Int64, _ chat: String, text: String = "") -> IngestRow {
            IngestRow(
                lease: Lease(installation: InstallationID(rawValue: app), generation: 1),
                message: Fixture.message("om", text, chat: chat))
        }
        var shares = WaitingShares(count: 1_200, bytes: 64 << 20)
        /// - Returns: how many it took, and what was too much then.
        func flood(_ row: IngestRow) -> (Int, WaitingShares.Bound?) {
            var taken = 0
            while taken < 10_000 {
                if let bound = shares.refusal(of: row) { return (taken, bound) }
                shares.add(row)
                taken += 1
            }
            return (taken, nil)
        }
        // A chat alone a quarter; the chats of an app together half.
        #expect(flood(row(1, "oc_flood")) == (300, .chat))
        for chat in 0..<20 { _ = flood(row(1, "oc_\(chat)")) }
        #expect(shares.count == 600 && shares.refusal(of: row(1, "oc_flood")) == .app)
        #expect(shares.refusal(of: row(2, "oc_flood")) == nil, "a chat of that name of another app is another one")
        for app in Int64(2)...100 { #expect(flood(row(app, "oc_1")).0 > 0 || shares.count == 1_200) }
        #expect(shares.count <= 1_200)
        // What is stored makes room again.
        for _ in 0..<300 { shares.remove(row(1, "oc_flood")) }
        #expect(shares.refusal(of: row(101, "oc_1")) == nil)

        // By bytes too.
        var large = WaitingShares(count: 20_000, bytes: 64 << 20)
        let text = String(repeating: "x", count: 1 << 20)
        var taken = 0
        while large.refusal(of: row(1, "oc_1", text: text)) == nil, taken < 64 {
            large.add(row(1, "oc_1", text: text))
            taken += 1
        }
        #expect(taken == 15 || taken == 16)
        #expect(large.refusal(of: row(2, "oc_1", text: text)) == nil)
    }

    @Test("S27: while one chat floods, messages of another chat and of another app are stored")
    func flood() async throws {
        let release = AsyncEvent()
        var limits = Dispatcher.Limits()
        limits.maxWaiting = 100
        let began = Doorbell()
        let bench = Bench(limits: limits) { rows, _, _ in
            began.ring()
            await release.wait()
            return Self.stored(rows)
        }
        await bench.receive("om_0", chat: "oc_flood")
        await began.wait(atMost: .seconds(20))
        for number in 1...200 { await bench.receive("om_\(number)", chat: "oc_flood") }
        await bench.receive("om_other", chat: "oc_other")
        #expect(bench.acks.all.count == 175 && !bench.acks.all.contains("om_other 500"))
        let event = try #require(bench.log.events(named: "ingest.overloaded").first)
        #expect(event["bound"] == .text("chat") && event["chat_id"] == .text("oc_flood"))
        release.set()
        await bench.dispatcher.drain()
        #expect(bench.acks.all.contains("om_other 200"))
    }

    @Test("what waits is bounded by count and by bytes; beyond it acks are 500, said once")
    func overload() async throws {
        let release = AsyncEvent()
        var limits = Dispatcher.Limits()
        // A quarter of it for one chat.
        limits.maxWaiting = 12
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

    @Test("S17: the headers that an ack will send back count for what may wait")
    func receipts() async throws {
        let release = AsyncEvent()
        let began = Doorbell()
        var limits = Dispatcher.Limits()
        limits.maxWaitingBytes = 100_000
        let bench = Bench(limits: limits) { rows, _, _ in
            began.ring()
            await release.wait()
            return Self.stored(rows)
        }
        await bench.receive("om_0")
        await began.wait(atMost: .seconds(20))
        for number in 1...20 { await bench.receive("om_\(number)", receiptBytes: 8_000) }
        #expect(bench.acks.all == (4...20).map { "om_\($0) 500" })
        #expect(bench.log.events(named: "ingest.overloaded").count == 1)
        release.set()
        await bench.dispatcher.drain()
    }
}
