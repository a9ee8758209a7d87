import AsyncRuntime
import Foundation
import Postgres
import TestSupport
import Testing

@Suite("14: a database that lacks a right, or the schema")
struct DatabaseLackTests {
    /// A database without the schema, and a role that may log in and nothing else. Its name needs quotes.
    private struct Place {
        let stage: Stage
        let database: String
        let role: String
        let quoted: String

        init(url: String) async throws {
            stage = try await Stage(url: url)
            database = String(try await stage.rows("SELECT current_database()")[0].dropFirst().dropLast())
            role = "weak \"role of \(database)"
            quoted = "\"weak \"\"role of \(database)\""
            try await stage.pool.run("CREATE ROLE \(quoted) LOGIN")
        }

        func run(_ words: [String], asRole: Bool = true) async throws -> (status: Int32, output: String) {
            var configuration = stage.configuration()
            if asRole {
                configuration = configuration.replacingOccurrences(
                    of: stage.url, with: stage.url + " user='\(role.replacingOccurrences(of: "\"", with: "\\\""))'")
            }
            let tail = words.first == "worker" ? ["--runtime", "default", "--", "/bin/cat"] : []
            let command = try Daemon(words + ["--config", try Daemon.file(configuration)] + tail)
            return (await command.ended(), command.output)
        }

        func end() async throws {
            try await stage.pool.run("DROP OWNED BY \(quoted)")
            try await stage.pool.run("DROP ROLE \(quoted)")
            await stage.end()
        }
    }

    /// Of a line of the log: as it was before it became JSON.
    private func unescaped(_ output: String) -> String { output.replacing(#"\""#, with: #"""#) }

    @Test("check, run and migrate name the key and the statement that grants the right; after it all is well")
    func create() async throws {
        let place = try await Place(url: try await TestPostgres.makeEmptyDatabase())
        let statement = "GRANT CREATE ON DATABASE \(place.database) TO \(place.quoted);"
        for word in ["check", "run", "migrate"] {
            let (status, output) = try await place.run([word])
            #expect(status == 1, "\(word): \(output)")
            #expect(
                unescaped(output).contains(
                    "database_url: the role \(place.quoted) may not make the schema gateway in the database "
                        + "\(place.database). As an administrator of the database: \(statement)"), "\(word): \(output)")
            #expect(!output.contains("SQLSTATE"), "\(word): \(output)")
        }
        #expect(try await place.run(["check"]).output.contains("FAIL  database_url: "))
        try await place.stage.pool.run(statement)
        let after = try await place.run(["check"])
        #expect(after.status == 0 && after.output.contains("to be applied: schema: new"), "\(after.output)")
        #expect(try await place.run(["migrate"]).status == 0)

        // With a schema of its own it needs that right no more, and an upgrade does not either.
        try await place.stage.pool.run("REVOKE CREATE ON DATABASE \(place.database) FROM \(place.quoted)")
        try await place.stage.pool.run("DELETE FROM gateway.definition WHERE name = 'link_state'")
        let upgrade = try await place.run(["migrate"])
        #expect(upgrade.status == 0 && upgrade.output.contains("functions: 1"), "\(upgrade.output)")
        try await place.end()
    }

    @Test("a schema of another role: check, run, migrate and the commands name the grant")
    func otherOwner() async throws {
        let place = try await Place(url: try await TestPostgres.makeDatabase())
        try await place.stage.pool.run("DELETE FROM gateway.definition WHERE name = 'link_state'")
        let statement = "GRANT lark_gateway TO \(place.quoted);"
        for words in [["check"], ["run"], ["migrate"], ["status"], ["agent", "list"], ["issue", "list"]] {
            let (status, output) = try await place.run(words)
            #expect(status == 1, "\(words): \(output)")
            #expect(
                unescaped(output).contains(
                    "owns the schema gateway. As an administrator of the database: \(statement)"), "\(output)")
            #expect(output.contains("database_url: ") == ["check", "run", "migrate"].contains(words[0]), "\(output)")
        }
        try await place.stage.pool.run(statement)
        for words in [["check"], ["migrate"], ["status"]] {
            let (status, output) = try await place.run(words)
            #expect(status == 0, "\(words): \(output)")
        }
        // A part of the schema is another one's.
        try await place.stage.pool.run("CREATE ROLE \"part of \(place.database)\"")
        try await place.stage.pool.run("ALTER TABLE gateway.issue OWNER TO \"part of \(place.database)\"")
        let part = try await place.run(["check"])
        #expect(part.status == 1 && part.output.contains("GRANT \"part of \(place.database)\" TO \(place.quoted);"))
        try await place.stage.pool.run("ALTER TABLE gateway.issue OWNER TO lark_gateway")
        try await place.stage.pool.run("DROP ROLE \"part of \(place.database)\"")
        try await place.end()
    }

    @Test("commands and the worker say that the schema is missing, and what makes it")
    func schema() async throws {
        let place = try await Place(url: try await TestPostgres.makeEmptyDatabase())
        for words in [
            ["status"], ["agent", "list"], ["member", "list"], ["outbox", "list"], ["worker-role", "list"],
        ]
            + [["installation", "list"], ["issue", "list"], ["worker"], ["agent", "set-offline", "acme/support"]]
        {
            for asRole in [true, false] {
                let (status, output) = try await place.run(words, asRole: asRole)
                #expect(status == 1, "\(words): \(output)")
                let problem = "the schema is missing: start the gateway or run lark-gateway migrate"
                if words == ["worker"] {
                    #expect(output.contains(#""event":"worker.failed","error":"\#(problem)""#), "\(output)")
                } else {
                    #expect(output == "lark-gateway: \(problem)\n", "\(words)")
                }
            }
        }
        try await place.end()
    }
}
