import Configuration
import Foundation

/// What the installed unit, lark-gateway.service, gives the daemon: so that a command which a person types finds the
/// same state directory and the same credentials. Read from systemd's files, without systemd.
///
/// Known are `User=`, `StateDirectory=`, `LoadCredential=` and the configuration file of `ExecStart=`. A value with a
/// specifier (`%`) is left out.
struct InstalledService: Sendable, Equatable {
    static let name = "lark-gateway.service"
    /// For tests: the folder in which the unit's folders and /var/lib are.
    static let rootVariable = "LARK_GATEWAY_UNIT_ROOT"

    /// The file that the service runs with.
    let configurationPath: String
    let user: String?
    let stateDirectory: String?
    /// The files of credentials by the names of these.
    let credentials: [String: String]

    /// - Parameter root: before the folders of state directories.
    init(_ unit: UnitFile, root: String = "") {
        let command = unit.all("Service.ExecStart").last ?? ""
        let words = command.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
        let variable = unit.words("Service.Environment").map { $0.replacing("\"", with: "") }
            .last { $0.hasPrefix(ConfigurationFile.variable + "=") }
            .map { [ConfigurationFile.variable: String($0.dropFirst(ConfigurationFile.variable.count + 1))] }
        configurationPath = ConfigurationFile(words: words, environment: variable ?? [:]).path
        user = unit.last("Service.User").flatMap { $0.contains("%") ? nil : $0 }
        // Of several the first one is the daemon's; a name may have that of a link behind it.
        stateDirectory = unit.words("Service.StateDirectory").first.flatMap { word in
            let name = word.split(separator: ":").first ?? ""
            guard !name.isEmpty, !name.contains("%"), !name.hasPrefix("/") else { return nil }
            return "\(root)/var/lib/\(name)"
        }
        credentials = unit.all("Service.LoadCredential").reduce(into: [:]) { credentials, value in
            let parts = value.split(separator: ":", maxSplits: 1).map(String.init)
            guard parts.count == 2, parts[1].hasPrefix("/"), !value.contains("%") else { return }
            credentials[parts[0]] = parts[1]
        }
    }

    /// - Returns: nil: there is no unit, or it can't be read.
    static func find(environment: [String: String] = ProcessInfo.processInfo.environment) -> InstalledService? {
        let root = environment[rootVariable] ?? ""
        let texts = files(root: root).compactMap(read)
        return texts.isEmpty ? nil : InstalledService(UnitFile(texts), root: root)
    }

    /// Whether the service runs with this very file.
    func runs(_ path: String) -> Bool {
        guard let own = realpath(configurationPath, nil) else { return false }
        defer { free(own) }
        guard let other = realpath(path, nil) else { return false }
        defer { free(other) }
        return strcmp(own, other) == 0
    }

    /// The unit file in the first of systemd's folders that has one, and its drop-ins, of which each name counts once,
    /// too (systemd.unit(5)).
    private static func files(root: String) -> [String] {
        let folders = ["/etc", "/run", "/usr/local/lib", "/usr/lib"].map { "\(root)\($0)/systemd/system" }
        guard let folder = folders.first(where: { access("\($0)/\(name)", F_OK) == 0 }) else { return [] }
        var dropIns: [String: String] = [:]
        for folder in ["\(name).d", "lark-.service.d", "service.d"].flatMap({ kind in folders.map { "\($0)/\(kind)" } })
        {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            for file in names where file.hasSuffix(".conf") && dropIns[file] == nil {
                dropIns[file] = "\(folder)/\(file)"
            }
        }
        return ["\(folder)/\(name)"] + dropIns.sorted { $0.key < $1.key }.map(\.value)
    }

    /// - Returns: nil: it is no file, can't be read, or is far too large for a unit. A unit that is masked is empty.
    private static func read(_ path: String) -> String? {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size < 1 << 20 else { return nil }
        return FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    }
}

extension ConfigurationFile {
    /// The installed service, where it runs with this file.
    var service: InstalledService? { InstalledService.find().flatMap { $0.runs(path) ? $0 : nil } }

    /// For a command: this process's environment, and what the service would be given in it. A worker's own file, or a
    /// copy that somebody tries, is not the service's, and gets nothing of it.
    var surroundings: Surroundings {
        var surroundings = Surroundings.process
        guard let service else { return surroundings }
        if surroundings.environment["STATE_DIRECTORY"] == nil {
            surroundings.environment["STATE_DIRECTORY"] = service.stateDirectory
        }
        if surroundings.environment["CREDENTIALS_DIRECTORY"] == nil { surroundings.credentials = service.credentials }
        return surroundings
    }
}
