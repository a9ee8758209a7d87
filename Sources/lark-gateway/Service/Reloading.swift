import AsyncRuntime
import Configuration
import Gateway

/// Applies the configuration file again whenever SIGHUP asks for it. A file that is wrong changes nothing.
struct Reloading {
    private let service: Service
    private let gateway: Gateway
    private let url: String
    /// What the gateway goes by.
    private var current: Configuration

    /// - Parameter gateway: which runs.
    init(of service: Service, _ gateway: Gateway, on url: String) {
        self.service = service
        self.gateway = gateway
        self.url = url
        current = service.configuration
    }

    /// Until the service stops.
    mutating func run() async {
        for await _ in service.reloads.requests {
            guard !service.stop.isSet else { return }
            await reload()
        }
    }

    private mutating func reload() async {
        service.status.reloading()
        do {
            let new = try Configuration.load(path: service.path)
            new.logExposedFiles(of: service.path, to: service.log.logger)
            try await gateway.reload(new.gatewaySettings(databaseURL: url))
            for (key, problem) in new.warnings {
                service.log.logger.log(.configurationWarned(key: key, problem: problem))
            }
            tell(of: new)
            current = new
        } catch {
            service.log.logger.log(.configurationRefused(error))
        }
        service.status.ready(installations: current.installations.count)
    }

    /// A log that says less from now on still says why.
    private func tell(of new: Configuration) {
        if new.log.level < current.log.level { service.log.update(new.log) }
        service.log.logger.log(
            .configurationReloaded(
                installations: new.installations.count, applied: new.appliedKeys(since: current),
                keysForRestart: new.keysForRestart(since: service.configuration)))
        service.log.update(new.log)
    }
}
