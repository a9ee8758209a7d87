import AsyncRuntime
import Configuration
import Gateway
import Output
import Postgres
import Store

/// `status`: what stands in the database, and whether anything of it needs a person: 0 all is well, 1 something does.
enum StatusCommand {
    static func run(_ words: [String]) async throws -> Int32 {
        let arguments = try Arguments(words, known: ["config", "limit"], flags: ["json"])
        try arguments.refusePositional()
        let limit = try arguments.limit()
        let isJSON = arguments.flags.contains("json")
        let configuration = try arguments.loadConfiguration(for: .database)
        do {
            return try await Database.withRepository(configuration) { repository in
                let report = try await report(repository, limit: limit)
                if isJSON { Terminal.sayJSON(report.json) } else { report.say() }
                return report.isWell ? ExitCode.done : ExitCode.failed
            }
        } catch  where isJSON && (error is PostgresError || error is SchemaLack) {
            Terminal.sayJSON(StatusReport.json(.init(kind: .database, text: "\(error)")))
            return ExitCode.failed
        }
    }

    private static func report(_ repository: Repository, limit: Int) async throws -> StatusReport {
        // A process that was killed on this machine is seen at once, one of another machine when it does not renew.
        let identity = ReplicaIdentity.current()
        let dead = try await repository.leaseHolders().filter { identity.knowsDead($0) }
        return StatusReport(
            installations: try await repository.installationStatuses(
                limit: limit, deadHolders: dead, needingFirst: true),
            runtimes: try await repository.waitingRuntimes(limit: limit))
    }
}
