import Configuration
import Foundation
import Gateway

/// The last event of a service that ends because of an error.
enum FatalEvent {
    enum Service { case gateway, worker }

    /// Runs `body`, and logs what it throws in the chosen format.
    /// - Returns: the exit code.
    /// - Throws: `UsageError`, which is for who typed the command.
    static func reporting(
        _ service: Service, _ file: ConfigurationFile, _ body: () async throws -> Int32
    ) async throws -> Int32 {
        do {
            return try await body()
        } catch let error as UsageError {
            throw error
        } catch {
            // Read anew: the error may be that of the reading itself.
            return log(error, service, file, LogWriter(settings: LogSettings.chosen(by: file.path)).logger)
        }
    }

    static func log(_ error: any Error, _ service: Service, _ file: ConfigurationFile, _ logger: Logger) -> Int32 {
        let fatal = FatalError(error, file)
        let hint = fatal.hint ?? "the error says what to do; lark-gateway check\(file.option) says more"
        let mistakes = error as? ConfigurationError
        if let mistakes, mistakes.count > 1 {
            for mistake in mistakes.mistakes {
                logger.log(
                    .configurationInvalid(
                        "\(mistake)", key: mistake.keyPath.isEmpty ? nil : mistake.keyPath, hint: hint))
            }
        }
        let make = service == .gateway ? LogEvent.gatewayFailed : LogEvent.workerFailed
        logger.log(make(fatal.problem, fatal.key, file.path, mistakes?.count, fatal.code, hint))
        return fatal.code
    }
}

extension LogSettings {
    /// What the file chooses, also one with mistakes elsewhere. Where it can't be read at all: text on a terminal, else
    /// JSON.
    fileprivate static func chosen(by path: String) -> LogSettings {
        if let settings = Configuration.log(ofFileAt: path) { return settings }
        var settings = LogSettings()
        settings.format = isatty(2) != 0 ? .text : .json
        return settings
    }
}
