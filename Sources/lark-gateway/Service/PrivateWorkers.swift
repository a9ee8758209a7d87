import Configuration
import Gateway
import Postgres
import Store

extension Configuration {
    /// nil where no worker has a way of its own, and where nobody says in which folder, as a command that is no
    /// service.
    var workerDoors: WorkerDoors? {
        guard self.databaseURL == nil, !self.workers.isEmpty, let directory = self.socketDirectory else {
            return nil
        }
        return WorkerDoors(directory: directory, users: self.workers.map(\.user))
    }

    /// - Throws: `ConfigurationError` where workers are named, and the daemon would not know where to let them in.
    func checkWorkerDoors() throws {
        guard self.workers.isEmpty || workerDoors != nil else {
            throw ConfigurationError(
                keyPath: "socket_directory",
                problem: "missing, and there is no $RUNTIME_DIRECTORY: set it, or RuntimeDirectory= in the systemd unit"
            )
        }
    }
}

/// Gives the roles of `workers` the runtimes that stand there, and takes the others. What commands gave
/// to other roles stays.
enum PrivateWorkers {
    /// - Throws: `PostgresError`.
    static func grant(_ configuration: Configuration, on url: String, _ logger: Logger) async throws {
        guard !configuration.workers.isEmpty else { return }
        let pool = Pool(url: url, size: 1, preparesStatements: false, limits: Repository.sessionLimits)
        do {
            let repository = Repository(pool: pool)
            let known = try await repository.workerRoles()
            for worker in configuration.workers {
                let had = Set(known.filter { $0.name == worker.user }.map(\.runtime))
                for runtime in worker.runtimes {
                    // Also where the row is there: the role may have been made anew.
                    try await repository.addWorkerRole(worker.user, runtime: runtime)
                    if !had.contains(runtime) { logger.log(.workerRoleGiven(role: worker.user, runtime: runtime)) }
                }
                for runtime in had.subtracting(worker.runtimes).sorted() {
                    _ = try await repository.removeWorkerRole(worker.user, runtime: runtime)
                    logger.log(.workerRoleTaken(role: worker.user, runtime: runtime))
                }
            }
            await pool.close()
        } catch {
            await pool.close()
            throw error
        }
    }
}
