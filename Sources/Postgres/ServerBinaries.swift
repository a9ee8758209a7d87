import AsyncRuntime
import Foundation

/// Where the programs of Postgres servers (`initdb`, `pg_ctl`) are installed, by major version.
struct ServerBinaries: Sendable {
    /// Older servers lack what the schema needs.
    static let oldestVersion = 14

    /// Holds a folder per major version, with `bin` in it, as Debian's packages make them.
    var root = "/usr/lib/postgresql"
    /// Folders that are looked through after `root`, in this order.
    var searchPath = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)

    /// For a new cluster: the folder of the newest version under `root`; where there is none, of the newest one in the
    /// search path. Versions that are too old do not count.
    /// - Throws: `PrivatePostgres.Failure.notInstalled`, `DeadlineExceeded`, `CancellationError`.
    func newest(deadline: Deadline) async throws -> String {
        if let version = versions.first { return folder(version) }
        var best: (version: Int, folder: String)?
        for candidate in inSearchPath {
            guard let version = try await Self.version(ofProgramsIn: candidate, deadline),
                version >= max(Self.oldestVersion, (best?.version ?? 0) + 1)
            else { continue }
            best = (version, candidate)
        }
        guard let best else { throw PrivatePostgres.Failure.notInstalled(searched: ["\(root)/*/bin", "PATH"]) }
        return best.folder
    }

    /// For the cluster that is in `data`: the folder of the version that made it. No other version can read it.
    /// - Throws: `PrivatePostgres.Failure.versionNotInstalled`, `.versionUnreadable`, `DeadlineExceeded`,
    ///   `CancellationError`.
    func matching(clusterIn data: String, deadline: Deadline) async throws -> String {
        let version = try Self.version(ofClusterIn: data)
        if versions.contains(version) { return folder(version) }
        var installed = versions.map(String.init)
        for candidate in inSearchPath {
            guard let found = try await Self.version(ofProgramsIn: candidate, deadline) else { continue }
            if found == version, found >= Self.oldestVersion { return candidate }
            installed.append("\(found) in \(candidate)")
        }
        throw PrivatePostgres.Failure.versionNotInstalled(version: version, data: data, installed: installed)
    }

    /// Those under `root`, the newest first.
    private var versions: [Int] {
        ((try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []).compactMap(Int.init)
            .filter { $0 >= Self.oldestVersion && Self.hasPrograms(folder($0)) }.sorted(by: >)
    }

    private var inSearchPath: [String] { searchPath.filter(Self.hasPrograms) }

    private func folder(_ version: Int) -> String { "\(root)/\(version)/bin" }

    private static func hasPrograms(_ folder: String) -> Bool {
        FileManager.default.isExecutableFile(atPath: folder + "/pg_ctl")
    }

    /// The major version that `initdb` writes beside the data: a whole number since Postgres 10.
    private static func version(ofClusterIn data: String) throws(PrivatePostgres.Failure) -> Int {
        let file = data + "/PG_VERSION"
        let text = try? String(contentsOfFile: file, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
        guard let version = text?.prefix(while: { $0 != "." }), let number = Int(version), number > 0 else {
            throw .versionUnreadable(file: file)
        }
        return number
    }

    /// From `pg_ctl (PostgreSQL) 15.8 (Debian 15.8-1)`; nil when the program says nothing of the kind.
    private static func version(ofProgramsIn folder: String, _ deadline: Deadline) async throws -> Int? {
        let result: ChildProcessResult
        var containment = ChildProcess.Containment()
        containment.outputLimit = 200
        do {
            result = try await ChildProcess.run(
                folder + "/pg_ctl", ["--version"], environment: PrivatePostgres.environment, containment: containment,
                deadline: deadline)
        } catch is SpawnError {
            return nil
        }
        let words = String(decoding: result.output, as: UTF8.self).split(separator: " ")
        guard result.status == 0, words.count > 2, words[1] == "(PostgreSQL)" else { return nil }
        return Int(words[2].prefix { $0.isASCII && $0.isNumber })
    }
}
