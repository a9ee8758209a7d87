import Foundation
import Lark
import Postgres
import TestSupport
import Testing

@testable import Gateway
@testable import Store

@Suite("What was said in a group before")
struct GroupContextTests {
    private static let now: Int64 = 1_780_000_000_000

    private func listed(
        _ id: String, _ text: String = "hi", thread: String? = nil, age: Int64 = 1_000, type: String = "text",
        from: String = "user", by sender: String? = nil, deleted: Bool = false
    ) throws -> ListedMessage {
        var json: [String: Any] = [
            "message_id": id, "msg_type": type, "create_time": "\(Self.now - age)", "deleted": deleted,
            "sender": ["id": sender ?? "ou_\(id)", "id_type": "open_id", "sender_type": from],
            "body": ["content": #"{"text":\#(try quoted(text))}"#],
            "mentions": [["key": "@_user_1", "id": "ou_x", "id_type": "open_id", "name": "Tom"]],
        ]
        json["thread_id"] = thread
        let data = try JSONSerialization.data(withJSONObject: json)
        return try #require(JSONValue(parsing: data).flatMap(ListedMessage.init))
    }

    private let everybody = ContextRules(members: [], tellsOfStrangers: true)

    private func quoted(_ text: String) throws -> String {
        String(decoding: try JSONSerialization.data(withJSONObject: text, options: .fragmentsAllowed), as: UTF8.self)
    }

    private func asked(thread: String = "") -> InboundMessage {
        var message = Fixture.message("om_asked", chat: "oc_1", thread: thread, type: .group)
        message.sentAtMilliseconds = Self.now
        return message
    }

    @Test(
        "E7: the last twenty before it, the oldest first: not the message itself, nothing later, withdrawn, old or of the system"
    )
    func selection() throws {
        var messages = try (1...30).map { try listed("om_\($0)", "text \($0)", age: Int64($0) * 1_000) }
        messages.append(try listed("om_asked", age: 0))
        messages.append(try listed("om_later", age: -1_000))
        messages.append(try listed("om_gone", age: 500, deleted: true))
        messages.append(try listed("om_system", age: 500, type: "system"))
        messages.append(try listed("om_old", age: 86_400_000))
        let selected = GroupContext.select(messages.shuffled(), before: asked(), everybody)
        #expect(selected.map(\.message.messageID) == (1...20).reversed().map { "om_\($0)" })
    }

    @Test("E7: in a topic that topic's alone; in the group what stands in no topic; without any, nothing")
    func topics() throws {
        let messages = [
            try listed("om_1"), try listed("om_2", thread: "omt_1"), try listed("om_3", thread: "omt_2"),
        ]
        #expect(GroupContext.select(messages, before: asked(), everybody).map(\.message.messageID) == ["om_1"])
        #expect(
            GroupContext.select(messages, before: asked(thread: "omt_1"), everybody).map(\.message.messageID) == [
                "om_2"
            ])
        #expect(GroupContext.select(messages, before: asked(thread: "omt_9"), everybody).isEmpty)
    }

    @Test("its size is bounded, and people and bots are told apart")
    func size() throws {
        let long = try (1...20).map {
            try listed("om_\($0)", String(repeating: "語", count: 5_000), age: Int64($0) * 1_000, from: "app")
        }
        let selected = GroupContext.select(long, before: asked(), everybody)
        #expect((5...8).contains(selected.count))
        let json = try #require(JSONValue(parsing: GroupContext.json(selected)))
        #expect(json.array.allSatisfy { ($0["content"].string?.utf8.count ?? 0) <= GroupContext.maxTextBytes + 3 })
        #expect(json.array.allSatisfy { $0["from"].string == "bot" })
        let one = try listed("om_1", "@_user_1 look")
        #expect(
            GroupContext.json(GroupContext.select([one], before: asked(), everybody))
                == #"[{"content":"@Tom look","created_at":"2026-05-28T20:26:39.000Z","from":"user","is_member":false,"lark_message_id":"om_1","sender":"ou_om_1"}]"#
        )
    }

    @Test(
        "S10: the bot's own words, another bot's, a member's and a stranger's are told apart; the stranger's can be left out"
    )
    func speakers() throws {
        let messages = [
            try listed("om_4", age: 4_000, from: "app", by: "cli_a"),
            try listed("om_3", age: 3_000, from: "app", by: "cli_webhook"),
            try listed("om_2", age: 2_000, by: "ou_ann"),
            // A person who is called like the bot is a person.
            try listed("om_1", age: 1_000, by: "cli_a"),
        ]
        #expect(GroupContext.people(messages, before: asked()) == ["cli_a", "ou_ann"])
        func rows(_ rules: ContextRules) throws -> [String] {
            let json = GroupContext.json(GroupContext.select(messages, before: asked(), rules))
            return try #require(JSONValue(parsing: json)).array.map {
                "\($0["sender"].string ?? "") \($0["from"].string ?? "") \($0["is_member"].boolean.map { "\($0)" } ?? "")"
            }
        }
        let known = ["cli_a self ", "cli_webhook bot ", "ou_ann user true"]
        #expect(try rows(ContextRules(members: ["ou_ann"], tellsOfStrangers: true)) == known + ["cli_a user false"])
        #expect(try rows(ContextRules(members: ["ou_ann"], tellsOfStrangers: false)) == known)
    }

    @Test("S10: what strangers said does not take the place of what members said")
    func crowd() throws {
        let messages = try (1...40).map { try listed("om_\($0)", age: Int64($0), by: $0 <= 30 ? "ou_eve" : "ou_ann") }
        let rules = ContextRules(members: ["ou_ann"], tellsOfStrangers: false)
        #expect(GroupContext.select(messages, before: asked(), rules).count == 10)
    }

    @Test(
        "S10: strangers are left out where access is pairing, unless the file says otherwise; who is a member is asked anew",
        arguments: [
            (InstallationSettings.Access.pairing, nil, false), (.open, nil, true), (.pairing, "include", true),
            (.open, "omit", false),
        ] as [(InstallationSettings.Access, String?, Bool)])
    func rules(access: InstallationSettings.Access, setting: String?, tellsOfStrangers: Bool) async throws {
        let fixture = try await Fixture()
        try await fixture.ingest(Fixture.message("om_1", sender: "ou_ann"))
        func apply(_ strangers: String) async throws {
            try await fixture.pool.run(
                "SELECT gateway.apply_configuration('[]', $1)",
                [
                    .jsonb(
                        """
                        [{"app_id": "cli_a", "workspace": "acme", "agent": "support", "domain": "https://e.com",
                          "locale": "en", "access": "\(access.rawValue)"\(strangers)}]
                        """)
                ])
        }
        try await apply(#", "strangers_in_context": \#(setting.map { "\"\($0)\"" } ?? "null")"#)
        for _ in 0..<2 {
            let rules = try await fixture.repository.contextRules(
                of: fixture.lease.installation, people: ["ou_ann", "ou_eve"])
            #expect(rules.members == ["ou_ann"])
            #expect(rules.tellsOfStrangers == tellsOfStrangers)
            // A replica of the version before does not know the setting, and leaves it.
            try await apply("")
        }
        await fixture.pool.close()
    }

    @Test("what is no message is left out")
    func garbage() {
        for text in [
            "{}", "[]", "1", #"{"message_id":""}"#, #"{"message_id":"om","create_time":"soon"}"#,
            #"{"message_id":"om"}"#,
        ] {
            #expect(JSONValue(parsing: text).flatMap(ListedMessage.init) == nil, "\(text)")
        }
    }

    @Test("the run of the message gets it, once; a later run does not, nor one that another replica's lease asks for")
    func claiming() async throws {
        let fixture = try await Fixture()
        let first = try await fixture.ingest(Fixture.message("om_1", type: .group))[0]
        let session = try #require(first.session)
        let context = #"[{"content": "before"}]"#
        try await fixture.repository.put(context, of: session, at: 1, under: fixture.lease)
        let stranger = Lease(installation: fixture.lease.installation, generation: 7)
        try await fixture.repository.put("[]", of: session, at: 1, under: stranger)
        try await fixture.flush(session)
        let task = try #require(try await fixture.claim())
        #expect(task.groupContext == context)
        try await fixture.repository.completeTask(task.id, worker: "w1", reply: "yes")
        try await fixture.ingest(Fixture.message("om_2", type: .group))
        try await fixture.flush(session)
        #expect(try await fixture.claim()?.groupContext == "[]")
    }
}
