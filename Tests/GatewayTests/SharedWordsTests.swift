import Foundation
import Lark
import Postgres
import TestSupport
import Testing

@testable import Gateway
@testable import Store

/// Each word that both the database's functions and the program write stands in one enum; these tests read the other
/// side from the catalog, so that a word of one side alone is found.
@Suite("Words that SQL and Swift share")
struct SharedWordsTests {
    /// The bodies of the schema's functions, by name.
    /// - Parameter condition: on `pg_proc p`.
    private func functions(where condition: String = "true") async throws -> [String: String] {
        let pool = Pool(url: try await TestPostgres.makeDatabase(), size: 1)
        let rows = try await pool.query(
            Statement(
                name: "test",
                sql: """
                    SELECT p.proname, string_agg(p.prosrc, E'\n') AS prosrc FROM pg_proc p
                    WHERE p.pronamespace = 'gateway'::regnamespace AND \(condition) GROUP BY p.proname
                    """, isPrepared: false), deadline: .after(.seconds(20)))
        await pool.close()
        let bodies = try rows.map { row in
            (try row.value("proname", as: String.self), Self.withoutComments(try row.value("prosrc", as: String.self)))
        }
        return Dictionary(uniqueKeysWithValues: bodies)
    }

    private static func withoutComments(_ sql: String) -> String {
        sql.split(separator: "\n").map { line in line.firstRange(of: "--").map { line[..<$0.lowerBound] } ?? line[...] }
            .joined(separator: "\n")
    }

    /// What each match of `pattern` has in its parentheses.
    private static func matches(_ pattern: String, in text: String) throws -> [String] {
        try text.matches(of: Regex(pattern, as: (Substring, Substring).self).wordBoundaryKind(.simple)).map {
            String($0.output.1)
        }
    }

    /// The quoted words of each list that `pattern` finds.
    private static func listed(_ pattern: String, in text: String) throws -> [String] {
        try matches(pattern, in: text).flatMap { try matches(#"'([a-z0-9_]+)'"#, in: $0) }
    }

    private static let inPayload = #"jsonb_build_object\(\s*'notice'\s*,\s*"#
    private static let inJSON = #""notice"\s*:\s*"#

    @Test("every notice that a function writes is one that the gateway has words for, and the reverse")
    func notices() async throws {
        let functions = try await functions()
        var written: Set<String> = []
        for (name, body) in functions {
            written.formUnion(try Self.matches(Self.inPayload + "'([a-z_]+)'", in: body))
            written.formUnion(try Self.matches(Self.inJSON + #""([a-z_]+)""#, in: body))
            // A window's outcome is its notice's name, where there is one.
            let computed = try Self.matches(Self.inPayload + #"(\w+\.outcome)\b"#, in: body)
            if !computed.isEmpty {
                written.formUnion(try Self.listed(#"\boutcome IN \(([^)]+)\)"#, in: body))
            }
            let places = try Self.matches("(\(Self.inPayload)|\(Self.inJSON))", in: body).count
            let known = try [
                Self.matches(Self.inPayload + "'([a-z_]+)'", in: body),
                Self.matches(Self.inJSON + #""([a-z_]+)""#, in: body), computed,
            ].joined().count
            #expect(places == known, "\(name) writes a notice in a way that this test does not read")
        }
        #expect(written == Set(Notice.Name.allCases.map(\.rawValue)))
        let compared = try functions.values.flatMap {
            try Self.listed(#"->>\s*'notice'\s*(?:IN|=)\s*(\([^)]+\)|'[a-z_]+')"#, in: $0)
        }
        #expect(!compared.isEmpty && Set(compared).isSubset(of: written))
    }

    @Test("an agent's state in the answer to /status is one that the gateway knows")
    func agentStates() async throws {
        let body = try #require(try await functions()["run_command"])
        let written = try Self.listed(#"'state'\s*,\s*(CASE[\s\S]+?END)"#, in: body)
        #expect(Set(written) == Set(Notice.AgentState.allCases.map(\.rawValue)))
    }

    @Test("every outcome of a window that flush_windows writes is one that the gateway knows, and the reverse")
    func flushOutcomes() async throws {
        let body = try #require(try await functions()["flush_windows"])
        let written =
            try Self.listed(#"(CASE\s+WHEN[\s\S]+?END AS outcome)"#, in: body)
            + Self.matches(#"SELECT p\.session_id, '([a-z_]+)'"#, in: body)
        #expect(Set(written) == Set(FlushOutcome.Name.allCases.map(\.rawValue)).subtracting(["gone"]))
        let told = try Self.listed(#"\boutcome IN \(([^)]+)\)"#, in: body)
        #expect(Set(told) == [FlushOutcome.Name.agentOffline.rawValue, FlushOutcome.Name.agentArchived.rawValue])
        #expect(told.allSatisfy { Notice.Name(rawValue: $0) != nil })
    }

    @Test("every verdict that a function gives a message is one that the gateway knows, and the reverse")
    func verdicts() async throws {
        var written = Set(InboundMessage.Fault.allCases.map(\.rawValue))
        let deciding = try await functions(where: "p.proargnames && '{verdict, verdicts}'")
        #expect(deciding["ingest_messages"] != nil)
        for (name, body) in deciding {
            let decided =
                try Self.matches(#"\b(?:THEN|ELSE)\s+'([a-z_]+)'"#, in: body)
                + Self.matches(#"coalesce\(\w+\.verdict,\s*'([a-z_]+)'\)"#, in: body)
            let compared =
                try Self.listed(#"\bverdict\s*(?:=|(?:NOT )?IN)\s*(\([^)]+\)|'[a-z_]+')"#, in: body)
            #expect(compared.allSatisfy { Verdict(rawValue: $0) != nil }, "\(name)")
            written.formUnion(decided)
        }
        #expect(written == Set(Verdict.allCases.map(\.rawValue)))
    }

    @Test("every channel that a function notifies is one that the gateway or a worker listens to, and the reverse")
    func channels() async throws {
        let notified = try await functions().values.flatMap {
            try Self.matches(#"(?:pg_notify\('|\bNOTIFY )([a-z_]+)"#, in: $0)
        }
        #expect(Set(notified) == Set(Notifications.Channel.allCases.map(\.rawValue) + ["gateway_task"]))
    }

    @Test(
        "what a column may hold is what the gateway writes into it",
        arguments: [
            ("outbox_kind", OutboxRow.Kind.allCases.map(\.rawValue)),
            ("chat_message_command", ChatCommand.Name.allCases.map(\.rawValue)),
            ("installation_locale", InstallationSettings.Locale.allCases.map(\.rawValue)),
            ("installation_access", InstallationSettings.Access.allCases.map(\.rawValue)),
            ("installation_connection_state", ConnectionState.Name.allCases.map(\.rawValue)),
            // A message that came to nothing; what is acked 500 comes again.
            (
                "inbound_audit_reason",
                Verdict.allCases.filter { ![.ingested, .busy, .fenced].contains($0) }.map(\.rawValue)
            ),
        ])
    func columns(constraint: String, words: [String]) async throws {
        let pool = Pool(url: try await TestPostgres.makeDatabase(), size: 1)
        let definitions = try await pool.rows(
            "SELECT pg_get_constraintdef(c.oid) FROM pg_constraint c WHERE c.conname = '\(constraint)'")
        await pool.close()
        let definition = try #require(definitions.first)
        #expect(Set(try Self.matches(#"'([a-z0-9_]+)'"#, in: definition)) == Set(words))
    }
}
