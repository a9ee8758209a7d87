import AsyncRuntime

/// The agent's command: what is run, as whom, and what it is told of the world.
package struct WorkerCommandLine: Sendable {
    /// The program and its arguments; at least one.
    let words: [String]
    /// All of it: nothing else of the worker's environment reaches the command.
    let environment: [String: String]
    /// nil: as the worker.
    let user: SystemUser?
    /// Whether its error output goes to the worker's.
    let showsErrors: Bool

    /// - Parameter words: the program and its arguments.
    package init(_ words: [String], environment: [String: String], user: SystemUser? = nil, showsErrors: Bool = true) {
        self.words = words
        self.environment = environment
        self.user = user
        self.showsErrors = showsErrors
    }

    func containment(outputLimit: Int) -> ChildProcess.Containment {
        var containment = ChildProcess.Containment()
        containment.isSupervised = true
        containment.user = user
        containment.outputLimit = outputLimit
        containment.errorOutputLimit = 0
        return containment
    }

    /// What a command gets of the worker's environment: where programs and temporary files are, and the language. A
    /// worker's own environment may hold the database's URL and other people's keys.
    /// - Parameter names: of further variables.
    /// - Parameter user: whom the command runs as, where that is another user.
    package static func environment(
        from worker: [String: String], naming names: [String], user: SystemUser?
    ) -> [String: String] {
        var environment = worker.filter { name, _ in
            ["PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "LANGUAGE", "TZ"].contains(name)
                || name.hasPrefix("LC_")
        }
        if let user {
            // The worker's folder for temporary files may be closed to it.
            environment["TMPDIR"] = nil
            environment["HOME"] = user.home
            environment["USER"] = user.name
            environment["LOGNAME"] = user.name
        }
        for name in names { environment[name] = worker[name] }
        return environment
    }
}
