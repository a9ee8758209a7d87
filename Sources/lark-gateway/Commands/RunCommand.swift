import Configuration
import AsyncRuntime
import Foundation
import Gateway
import Postgres
import WebSocket

/// `run`: the daemon.
enum RunCommand {
    static func run(_ words: [String]) async throws -> Int32 {
        let arguments = try Arguments(words, known: ["config"])
        try arguments.refusePositional()
        let file = arguments.configurationFile
        return try await FatalEvent.reporting(.gateway, file) { try await serve(file) }
    }

    private static func serve(_ file: ConfigurationFile) async throws -> Int32 {
        // The service itself has what systemd gave it, and nothing else.
        let configuration = try Configuration.load(path: file.path)
        let signals = StopSignals()
        let notifier = SystemdNotifier(environment: ProcessInfo.processInfo.environment)
        let log = LogWriter(settings: configuration.log)
        configuration.logExposedFiles(of: file.path, to: log.logger)
        try await configuration.checkTransport()
        let service = Service(
            path: file.path, configuration: configuration, stop: signals.stop, reloads: ReloadSignal(),
            status: ServiceStatus(notifier), log: log)
        return try await service.serve()
    }
}

extension Configuration {
    func logExposedFiles(of path: String, to logger: Logger) {
        for file in exposedFiles(of: path) {
            logger.log(.configurationExposed(file: file.path, problem: file.problem, hint: file.remedy))
        }
    }

    /// "auto" is what can be relied on here.
    var transportKind: TransportKind {
        switch self.transport {
        case .libcurl, .auto: .libcurl
        case .urlsession: .urlsession
        }
    }

    /// - Throws: `ConfigurationError` when URLSession was asked for and this toolchain's Foundation can't do it.
    func checkTransport() async throws {
        guard self.transport == .urlsession,
            let failure = await TransportProbe.failure(of: TransportKind.urlsession.make())
        else { return }
        throw ConfigurationError(
            keyPath: "transport",
            problem: "\"urlsession\" does not work with this toolchain's Foundation (\(failure)); use \"auto\"")
    }
}
