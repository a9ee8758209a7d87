import AsyncRuntime
import Configuration
import Postgres
import Store

/// A database that lacks a right, or the schema, and the key that names the database.
struct DatabaseLack: Error, CustomStringConvertible {
    let key: String
    let lack: SchemaLack

    var description: String { "\(key): \(lack)" }
}

extension Database {
    private static let patience = Duration.seconds(10)

    /// Turns a refusal of Postgres for want of a right, a schema or a table into what to do.
    /// - Throws: `DatabaseLack` (of the gateway), `SchemaLack` (of other uses), and what `body` throws.
    static func explainingLacks<T>(
        at url: String, for use: SchemaAccess.Use, isolation: isolated (any Actor)? = #isolation,
        _ body: () async throws -> T
    ) async throws -> T {
        do {
            return try await body()
        } catch PostgresError.statement(let error) where error.isLasting {
            // A server that is away by now: the first error is what there is to say.
            let access = try? await SchemaAccess.ask(url, deadline: .after(patience))
            let found = access?.lack(for: use) ?? (error.sqlState == "42501" ? .other(error) : nil)
            guard let lack = found else { throw PostgresError.statement(error) }
            guard use == .gateway else { throw lack }
            throw DatabaseLack(key: "database_url", lack: lack)
        }
    }

    /// - Throws: `SchemaLack.schema` where the gateway was never started on this database; `PostgresError`.
    static func refuseMissingSchema(_ url: String) async throws {
        if try await SchemaAccess.ask(url, deadline: .after(patience)).lack(for: .command) == .schema {
            throw SchemaLack.schema
        }
    }
}
