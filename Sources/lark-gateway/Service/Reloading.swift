import AsyncRuntime
import Configuration
import Gateway

/// Applies the configuration file again whenever SIGHUP asks for it, and secrets whenever their files change. A file
/// that is wrong changes nothing.
struct Reloading {
    private let service: Service
    private let gateway: Gateway
    private let url: String
    /// What the gateway goes by.
    private var current: Configuration
    private var watched = WatchedFiles()
    /// Files that the log complained of.
    private var unusable: Set<String> = []

    /// How often the files of secrets are looked at. One that changes is used at the second look after that.
    private static let lookEvery: Duration = .seconds(2)

    /// - Parameter gateway: which runs.
    init(of service: Service, _ gateway: Gateway, on url: String) {
        self.service = service
        self.gateway = gateway
        self.url = url
        current = service.configuration
    }

    /// Until the service stops.
    mutating func run() async {
        while true {
            let isAsked = await service.reloads.wait(atMost: Self.lookEvery)
            guard !service.stop.isSet, !Task.isCancelled else { return }
            if isAsked { await reload() } else { await lookAtSecrets() }
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
            unusable = []
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
                keysForRestart: new.keysForRestart(since: service.configuration),
                credentialsAreOld: new.hasUnchangedCredentials(since: current)))
        service.log.update(new.log)
    }

    /// By looking, and not by notifications of the kernel, which name no file behind a chain of links, and none on a
    /// network's file system. A file system that does not answer holds up reloads, and no stop.
    private mutating func lookAtSecrets() async {
        let paths = Array(current.secretFiles.keys)
        guard !paths.isEmpty else { return }
        let marks = await BlockingCall.runUnlessCancelled {
            Dictionary(uniqueKeysWithValues: paths.map { ($0, FileMark(path: $0)) })
        }
        guard let marks else { return }
        let changed = watched.look(marks)
        guard !changed.isEmpty,
            let reread = await BlockingCall.runUnlessCancelled({ [current] in current.reread(changed) })
        else { return }
        unusable.subtract(changed.filter { path in !reread.unusable.contains { $0.file.path == path } })
        for (file, problem) in reread.unusable where unusable.insert(file.path).inserted {
            service.log.logger.log(.secretUnusable(keys: file.keys, file: file.path, problem: problem))
        }
        guard !reread.changed.isEmpty else { return }
        for file in reread.changed {
            service.log.logger.log(.secretChanged(keys: file.keys, needsRestart: file.needsRestart))
        }
        current = reread.configuration
        await gateway.updateSecrets(current.gatewaySettings(databaseURL: url))
    }
}
