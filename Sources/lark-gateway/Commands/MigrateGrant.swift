import AsyncRuntime
import Configuration
import Foundation
import Output
import Postgres
import Store

/// `migrate --grant`: the roles of a Postgres of one's own, and their rights.
enum MigrateGrant {
    private static let patience = Duration.seconds(600)

    static func run(_ arguments: Arguments, _ configuration: Configuration) async throws -> Int32 {
        guard let url = configuration.databaseURL else {
            throw ConfigurationError(
                keyPath: "database_url",
                problem:
                    "missing, and the private Postgres has its roles by itself: --grant is for a server of your own")
        }
        let said = ConnectionText.values(url) ?? [:]
        let environment = ProcessInfo.processInfo.environment
        guard let role = said["user"] ?? environment["PGUSER"] else {
            throw ConfigurationError(
                keyPath: "database_url", problem: "names no user: --grant makes the role that it names")
        }
        guard let database = said["dbname"] ?? environment["PGDATABASE"] else {
            throw ConfigurationError(
                keyPath: "database_url", problem: "names no database: --grant makes the one that it names")
        }
        let roles = DatabaseRoles(
            adminURL: try adminURL(arguments), role: role, database: database, password: said["password"],
            deadline: .after(patience))
        try await roles.make(runtimes: try runtimes(arguments, configuration)) { say($0) }
        await tryLogin(url)
        Terminal.say(
            """
            Next: give \(DatabaseRoles.worker) and \(DatabaseRoles.operators) passwords (\\password in psql), or let pg_hba.conf
            map system users to them. Their own configuration files need a database_url alone.
            """)
        return ExitCode.done
    }

    /// A URL without a password is no secret.
    private static func adminURL(_ arguments: Arguments) throws -> String {
        let given = try arguments.required("admin-url")
        let values = ConnectionText.values(given)
        if let values, values["password"] == nil, given != "-" { return given }
        let url = try arguments.secret("admin-url")
        guard ConnectionText.isValid(url) else {
            throw UsageError("--admin-url: neither a postgresql:// URI nor libpq's keyword=value text")
        }
        return url
    }

    /// Those of the file's agents, unless the command line names some.
    private static func runtimes(_ arguments: Arguments, _ configuration: Configuration) throws -> [String] {
        let named = arguments.lists["runtime"] ?? []
        guard !named.contains("") else { throw UsageError("a runtime needs a name") }
        guard named.isEmpty else { return Set(named).sorted() }
        let found = Set(configuration.agents.compactMap(\.runtime)).sorted()
        return found.isEmpty ? ["default"] : found
    }

    /// From here; the daemon may run as another user, or elsewhere.
    private static func tryLogin(_ url: String) async {
        do {
            let access = try await SchemaAccess.ask(url, deadline: .after(.seconds(10)))
            if let lack = access.lack(for: .gateway) {
                say(.warning("database_url: \(lack)"))
            } else {
                say(.kept("database_url lets the gateway in"))
            }
        } catch {
            say(.warning("database_url does not let this user in from here (\(error)): see pg_hba.conf"))
        }
    }

    private static func say(_ step: DatabaseRoles.Step) {
        switch step {
        case .done(let text): Terminal.say("done  \(text)")
        case .kept(let text): Terminal.say("ok    \(text)")
        case .warning(let text): Terminal.say("warn  \(text)")
        }
    }
}
