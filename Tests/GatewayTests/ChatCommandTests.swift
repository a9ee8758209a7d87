import Lark
import Postgres
import TestSupport
import Testing

@testable import Gateway
@testable import Store

@Suite("Commands in the chat")
struct ChatCommandTests {
    @Test(
        "B30, B31, B32, B36, B37: what is a command is read from the first line that is not empty",
        arguments: [
            ("/issue It broke", .issue(title: "It broke", description: "")),
            ("/issue It broke\nwhen I\n\n  pressed", .issue(title: "It broke", description: "when I\n\n  pressed")),
            ("\n \t\n  /issue  It broke \r\n it did\n", .issue(title: "It broke", description: "it did")),
            ("/issue\tIt broke", .issue(title: "It broke", description: "")),
            ("/issue", .issue(title: "", description: "")),
            ("/issue\nbelow", .issue(title: "", description: "below")),
            ("/issuetracker is down", nil), ("/Issue It broke", nil), ("see /issue It broke", nil),
            ("first\n/issue It broke", nil), ("/ issue x", nil), ("", nil), ("/", nil), (" \n ", nil),
            ("/new", .new(text: "")), (" /new \n", .new(text: "")), ("/new what now?", .new(text: "what now?")),
            ("/new\nwhat\nnow?", .new(text: "what\nnow?")), ("/newer", nil), ("/new/x", nil),
            ("/help", .help), ("/help ", .help), ("/help me", nil), ("/status", .status), ("/status\nof it", nil),
        ] as [(String, ChatCommand?)])
    func parsing(text: String, expected: ChatCommand?) {
        #expect(ChatCommand(text) == expected)
    }

    private func answers(_ fixture: Fixture) async throws -> [String] {
        try await fixture.pool.rows(
            "SELECT kind, receive_id, coalesce(reply_to, ''), payload FROM gateway.outbox ORDER BY seq")
    }

    @Test(
        "B30, B34, B35: /issue makes one issue with its answer in the same commit, and no run; a replay makes nothing")
    func issue() async throws {
        let fixture = try await Fixture()
        let message = Fixture.message("om_1", "/issue It broke\nwhen I pressed", type: .group)
        let result = try await fixture.ingest(message)[0]
        #expect(result.verdict == .ingested)
        #expect(!result.hasOpenWindow)
        #expect(try await fixture.ingest(message)[0].verdict == .duplicate)
        #expect(
            try await fixture.pool.rows(
                "SELECT number, title, description, created_by, lark_message_id FROM gateway.issue")
                == [#"(1,"It broke","when I pressed",ou_1,om_1)"#])
        #expect(
            try await answers(fixture) == [
                #"(notice,oc_1,om_1,"{""key"": ""ACME-1"", ""title"": ""It broke"", ""notice"": ""issue_created""}")"#
            ])
        #expect(try await fixture.pool.rows("SELECT count(*) FROM gateway.pending_run") == ["(0)"])
        // No later run sees it.
        let session = try #require(try await fixture.ingest(Fixture.message("om_2", "hello"))[0].session)
        try await fixture.flush(session)
        #expect(fixture.contents(try await fixture.claim()) == ["hello"])
    }

    @Test("B33: /issue alone takes its title from the message before, or asks for one")
    func issueWithoutTitle() async throws {
        let fixture = try await Fixture()
        try await fixture.ingest(Fixture.message("om_1", "/issue"))
        try await fixture.ingest(Fixture.message("om_2", "/help"))
        try await fixture.ingest(Fixture.message("om_3", "/issue"))
        try await fixture.ingest(
            Fixture.message("om_4", "\n  the login page \nis white"), Fixture.message("om_5", "/issue\nsince noon"))
        try await fixture.ingest(Fixture.message("om_6", "  /issue  red button "))
        try await fixture.ingest(Fixture.message("om_7", "/issue"))
        // Another chat has nothing before it.
        try await fixture.ingest(Fixture.message("om_8", "/issue", chat: "oc_2"))
        #expect(
            try await fixture.pool.rows("SELECT number, title, description FROM gateway.issue ORDER BY number") == [
                #"(1,"the login page","since noon")"#, #"(2,"red button","")"#, #"(3,"red button","")"#,
            ])
        #expect(
            try await fixture.pool.rows("SELECT payload ->> 'notice' FROM gateway.outbox ORDER BY seq") == [
                "(issue_usage)", "(help)", "(issue_usage)", "(issue_created)", "(issue_created)", "(issue_created)",
                "(issue_usage)",
            ])
    }

    @Test("issues of a workspace are numbered in one row, whichever bot they were told to, two at a time")
    func numbers() async throws {
        let fixture = try await Fixture(apps: ["cli_a", "cli_b"])
        let other = Lease(
            installation: InstallationID(rawValue: fixture.lease.installation.rawValue + 1), generation: 1)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<20 {
                let isFirst = index.isMultiple(of: 2)
                let message = Fixture.message(
                    "om_\(index)", "/issue n\(index)", chat: "oc_\(index)", app: isFirst ? "cli_a" : "cli_b")
                group.addTask { try await fixture.ingest(message, lease: isFirst ? fixture.lease : other) }
            }
            try await group.waitForAll()
        }
        #expect(
            try await fixture.pool.rows("SELECT count(*), min(number), max(number) FROM gateway.issue") == ["(20,1,20)"]
        )
    }

    @Test("an unknown sender's command is a message of an unknown sender: nothing is made")
    func strangers() async throws {
        let fixture = try await Fixture(access: .pairing)
        #expect(try await fixture.ingest(Fixture.message("om_1", "/issue It broke"))[0].verdict == .unboundUser)
        #expect(try await fixture.pool.rows("SELECT count(*) FROM gateway.issue") == ["(0)"])
        #expect(try await fixture.pool.rows("SELECT kind FROM gateway.outbox") == ["(prompt)"])
    }

    @Test("B36, B37, B38: /new begins a context; what was not answered before it is a run of its own")
    func contexts() async throws {
        let fixture = try await Fixture()
        let session = try #require(try await fixture.ingest(Fixture.message("om_1", "old"))[0].session)
        try await fixture.flush(session)
        #expect(try await fixture.ingest(Fixture.message("om_2", "/new"))[0].hasOpenWindow == false)
        // Covered by the task that is queued.
        #expect(try await fixture.ingest(Fixture.message("om_3", "fresh"))[0].hasOpenWindow == false)
        try await fixture.ingest(Fixture.message("om_4", "/new fresher"))
        try await fixture.ingest(Fixture.message("om_5", "and more"))
        var contexts: [Int64] = []
        for expected in [["old"], ["fresh"], ["fresher", "and more"]] {
            let task = try #require(try await fixture.claim())
            #expect(fixture.contents(task) == expected)
            #expect(try await fixture.claim(worker: "w2") == nil, "one run at a time")
            try await fixture.repository.completeTask(task.id, worker: "w1", reply: "re \(expected[0])")
            contexts.append(task.context)
        }
        #expect(contexts == [0, 2, 4])
        #expect(try await fixture.claim() == nil)
        #expect(
            try await fixture.pool.rows("SELECT payload FROM gateway.outbox WHERE kind = 'notice'")
                == [#"("{""notice"": ""context_started""}")"#])
    }

    @Test("B38: a reply of a run from before the boundary answers nothing after it")
    func replyAcrossBoundary() async throws {
        let fixture = try await Fixture()
        let session = try #require(try await fixture.ingest(Fixture.message("om_1", "old"))[0].session)
        try await fixture.flush(session)
        let old = try #require(try await fixture.claim())
        #expect(try await fixture.ingest(Fixture.message("om_2", "/new fresh"))[0].hasOpenWindow)
        try await fixture.repository.completeTask(old.id, worker: "w1", reply: "re old")
        try await fixture.flush(session)
        #expect(fixture.contents(try await fixture.claim()) == ["fresh"])
    }

    @Test("B39: /status says how the agent is and what waits; it extends no window and starts no run")
    func status() async throws {
        let fixture = try await Fixture()
        try await fixture.ingest(Fixture.message("om_1", "one"), Fixture.message("om_2", "two"))
        let before = try await fixture.pool.rows("SELECT last_user_at FROM gateway.chat_session")
        #expect(try await fixture.ingest(Fixture.message("om_3", "/status"))[0].hasOpenWindow == false)
        #expect(try await fixture.pool.rows("SELECT last_user_at FROM gateway.chat_session") == before)
        let session = try #require(try await fixture.ingest(Fixture.message("om_4", "three"))[0].session)
        try await fixture.flush(session)
        _ = try await fixture.claim()
        try await fixture.ingest(Fixture.message("om_5", "four"), Fixture.message("om_6", "/status"))
        try await fixture.pool.run("UPDATE gateway.agent SET runtime_id = NULL")
        try await fixture.ingest(Fixture.message("om_7", "/status"))
        let state = "payload ->> 'state', payload ->> 'waiting', payload ->> 'is_running'"
        #expect(
            try await fixture.pool.rows(
                "SELECT \(state) FROM gateway.outbox WHERE payload ->> 'notice' = 'status' ORDER BY seq") == [
                    "(online,2,false)", "(online,1,true)", "(offline,1,true)",
                ])
    }
}
