import AsyncRuntime
import Lark
import Postgres

/// The way of a gateway that handles one message at a time: seven statements, one after another, in one transaction,
/// over a pool of the same size. Its tables have the same keys; it decodes the same frames with the same decoder. It
/// commits once per message, which is kinder than a claim that is committed before the work begins.
struct ReferenceIngest {
    private let pool: Pool
    private let lanes: Int
    private let decoder = EventDecoder(appID: Rig.app.id, bot: BotIdentity(openID: Rig.app.botOpenID))

    init(url: String, chats: Int, poolSize: Int = 8) async throws {
        pool = Pool(url: url, size: poolSize, applicationName: "reference")
        lanes = poolSize
        for table in Self.tables { try await pool.run(table) }
        try await pool.run("INSERT INTO reference.installation (app_id) VALUES ('\(Rig.app.id)')")
        try await pool.run(
            "INSERT INTO reference.member_binding SELECT 1, 'ou_' || n, n FROM generate_series(0, 49) n")
        try await pool.run("INSERT INTO reference.session (id) SELECT n FROM generate_series(0, \(chats - 1)) n")
        try await pool.run(
            "INSERT INTO reference.chat_binding SELECT 1, 'oc_' || n, n FROM generate_series(0, \(chats - 1)) n")
    }

    func end() async {
        await pool.close()
    }

    /// Every message, side by side across chats and in order within one.
    func saturate(_ frames: [[UInt8]]) async throws -> Duration {
        // Who gets which chat is settled before the clock runs.
        var queues: [[[UInt8]]] = Array(repeating: [], count: lanes)
        for bytes in frames {
            let chat = try message(try Frame(decoding: bytes)).chatID
            queues[(Int(chat.dropFirst(3)) ?? 0) % lanes].append(bytes)
        }
        let clock = ContinuousClock()
        let began = clock.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            for queue in queues {
                group.addTask { for bytes in queue { try await store(bytes) } }
            }
            try await group.waitForAll()
        }
        return began.duration(to: clock.now)
    }

    private func message(_ frame: Frame) throws -> InboundMessage {
        guard case .message(let message) = decoder.decode(frame.payload ?? []) else {
            throw BenchmarkError("the reference could not read its message")
        }
        return message
    }

    /// One message, from its frame's bytes to its ack's.
    func store(_ bytes: [UInt8]) async throws {
        let frame = try Frame(decoding: bytes)
        let message = try message(frame)
        try await pool.withConnection(deadline: .after(.seconds(60))) { connection in
            func run(_ statement: Statement, _ values: [PostgresValue]) async throws -> Rows {
                try await connection.query(statement, values, deadline: .after(.seconds(60)))
            }
            _ = try await run(Self.begin, [])
            guard try await run(Self.claim, [.text(message.messageID)]).first != nil,
                let installation: Int64 = try await run(Self.installation, [.text(message.appID)]).first?.value("id"),
                try await run(Self.member, [.int(installation), .text(message.sender)]).first != nil,
                let session: Int64 = try await run(Self.session, [.int(installation), .text(message.chatID)]).first?
                    .value("session_id"),
                let position: Int64 = try await run(Self.touch, [.int(session)]).first?.value("last_position")
            else { throw BenchmarkError("the reference missed a row") }
            _ = try await run(
                Self.store,
                [
                    .int(session), .int(position), .text(message.sender), .text(message.content),
                    .text(message.messageID),
                ])
            _ = try await run(Self.mark, [.text(message.messageID)])
            _ = try await run(Self.commit, [])
        }
        _ = Delivery(frame: frame, payload: []).acknowledgement(.handled, handledIn: .zero).encoded()
    }

    private static let begin = Statement(name: "begin", sql: "BEGIN")
    private static let claim = Statement(
        name: "claim",
        sql: """
            INSERT INTO reference.inbound_dedup (installation_id, message_id) VALUES (1, $1)
            ON CONFLICT DO NOTHING RETURNING message_id
            """)
    private static let installation = Statement(
        name: "installation", sql: "SELECT id FROM reference.installation WHERE app_id = $1 AND status = 'active'")
    private static let member = Statement(
        name: "member",
        sql: "SELECT member_id FROM reference.member_binding WHERE installation_id = $1 AND open_id = $2")
    private static let session = Statement(
        name: "session",
        sql: "SELECT session_id FROM reference.chat_binding WHERE installation_id = $1 AND chat_id = $2")
    private static let touch = Statement(
        name: "touch",
        sql: """
            UPDATE reference.session SET last_position = last_position + 1, updated_at = now() WHERE id = $1
            RETURNING last_position
            """)
    private static let store = Statement(
        name: "store",
        sql: """
            INSERT INTO reference.chat_message (session_id, position, role, sender, content, message_id)
            VALUES ($1, $2, 'user', $3, $4, $5)
            """)
    private static let mark = Statement(
        name: "mark",
        sql: """
            UPDATE reference.inbound_dedup SET processed_at = now() WHERE installation_id = 1 AND message_id = $1
            """)
    private static let commit = Statement(name: "commit", sql: "COMMIT")

    private static let tables = [
        "CREATE SCHEMA reference",
        """
        CREATE TABLE reference.installation (
            id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, app_id text UNIQUE, status text DEFAULT 'active')
        """,
        """
        CREATE TABLE reference.member_binding (
            installation_id bigint, open_id text, member_id bigint, PRIMARY KEY (installation_id, open_id))
        """,
        """
        CREATE TABLE reference.session (
            id bigint PRIMARY KEY, last_position bigint NOT NULL DEFAULT 0, updated_at timestamptz DEFAULT now())
        """,
        """
        CREATE TABLE reference.chat_binding (
            installation_id bigint, chat_id text, session_id bigint REFERENCES reference.session,
            PRIMARY KEY (installation_id, chat_id))
        """,
        """
        CREATE TABLE reference.chat_message (
            session_id bigint REFERENCES reference.session, position bigint, role text, sender text, content text,
            message_id text UNIQUE, created_at timestamptz DEFAULT now(), PRIMARY KEY (session_id, position))
        """,
        """
        CREATE TABLE reference.inbound_dedup (
            installation_id bigint, message_id text, received_at timestamptz DEFAULT now(), processed_at timestamptz,
            PRIMARY KEY (installation_id, message_id))
        """,
    ]
}
