import Configuration
import Foundation
import Gateway
import Postgres

/// Why a command ends, or the daemon: what happened, to which key of the configuration, and what to type. No error of a
/// library is told in its own words alone.
struct FatalError: Sendable {
    let code: Int32
    /// Of the configuration; nil where it is about none.
    let key: String?
    /// With the key.
    let problem: String
    /// nil: the problem says it.
    let hint: String?

    private init(_ code: Int32, key: String? = nil, _ problem: String, hint: String? = nil) {
        self.code = code
        self.key = key
        self.problem = problem
        self.hint = hint
    }

    /// - Parameter file: which a hint repeats where it is not the installed one.
    /// - Parameter words: of the command; nil: the daemon or a worker.
    init(_ error: any Error, _ file: ConfigurationFile, _ words: [String]? = nil) {
        switch error {
        case let error as ConfigurationError:
            self.init(
                ExitCode.configuration, key: error.keyPath.isEmpty ? nil : error.keyPath, "\(error)",
                hint: error.mistakes.contains(where: \.isOutOfReach)
                    ? "run it as root, or by systemd, which hands credentials out: sudo systemctl start lark-gateway"
                    : "correct it, then type: lark-gateway check\(file.option)")
        case let error as Ports.Failure: self.init(error)
        case let error as StateDirectoryLock.Failure: self.init(error)
        case let error as PrivatePostgres.Failure: self.init(error)
        case let error as DatabaseLack: self.init(ExitCode.failed, key: error.key, "\(error)")
        case let error as PostgresError: self.init(error, file, words)
        case let error as CocoaError: self.init(error)
        default: self.init(ExitCode.failed, "\(error)")
        }
    }

    private init(_ error: Ports.Failure) {
        let port = error.reason.address.split(separator: ":").last.map(String.init) ?? ""
        self.init(
            ExitCode.failed, key: error.key, "\(error)",
            hint: Self.freeing(key: error.key, port: port))
    }

    static func freeing(key: String, port: String) -> String {
        "set \(key) to another port, or end the program that has this one; it is shown by: "
            + "sudo ss -ltnp 'sport = :\(port)'"
    }

    private init(_ error: StateDirectoryLock.Failure) {
        switch error {
        case .held:
            self.init(
                ExitCode.failed, "\(error)",
                hint: "stop that one first (sudo systemctl stop lark-gateway), or set another state_directory here")
        case .unusable(let path, let code):
            // What no second try mends is a matter of the configuration.
            let isLasting = [EACCES, EPERM, ENOENT, ENOTDIR, EROFS, EEXIST, ELOOP, ENAMETOOLONG].contains(code)
            let folder = path.hasSuffix("/lark-gateway.lock") ? (path as NSString).deletingLastPathComponent : path
            let hint = "make it: \(Self.making(folder))"
            self.init(
                isLasting ? ExitCode.configuration : ExitCode.failed, key: "state_directory",
                "state_directory: \(error)", hint: isLasting ? hint : "look at the disk and its file system")
        }
    }

    /// The command that makes a folder that is this user's alone.
    static func making(_ folder: String, owner: String? = nil) -> String {
        let user = owner ?? getpwuid(geteuid()).map { String(cString: $0.pointee.pw_name) } ?? "\(geteuid())"
        return "sudo install -d -m 700 -o \(ShellWord.quoted(user)) \(ShellWord.quoted(folder))"
    }

    private init(_ error: PrivatePostgres.Failure) {
        let code = error.isSetUp ? ExitCode.configuration : ExitCode.failed
        switch error {
        case .runsAsRoot:
            self.init(code, "\(error)", hint: "type: sudo systemctl start lark-gateway")
        case .folder(_, _, let remedy): self.init(code, key: "state_directory", "\(error)", hint: "type: \(remedy)")
        case .workers(_, let remedy): self.init(code, key: "workers", "\(error)", hint: "type: \(remedy)")
        case .failed:
            self.init(
                code, "the private Postgres: \(error)",
                hint: "look into postgres.log in its folder, at free memory and at free disk space")
        case .notInstalled, .versionNotInstalled, .versionUnreadable, .clusterGone: self.init(code, "\(error)")
        }
    }

    private init(_ error: PostgresError, _ file: ConfigurationFile, _ words: [String]?) {
        switch error {
        case .connection(let reason):
            let isPrivate = reason.contains("/postgres/socket/.s.PGSQL.")
            let hint =
                switch (isPrivate, reason.contains("Permission denied")) {
                case (true, _) where words == nil: "look into postgres.log in the folder of the private Postgres"
                case (true, true):
                    "only root and the gateway's user reach its private Postgres; type: \(ConfigurationFile.asRoot(words ?? []))"
                case (true, false):
                    "the private Postgres runs while the gateway does: sudo systemctl start lark-gateway"
                case (false, _):
                    "start that Postgres, or correct database_url; lark-gateway check\(file.option) tries it"
                }
            self.init(ExitCode.failed, key: isPrivate ? nil : "database_url", "\(error)", hint: hint)
        case .statement(let refusal):
            self.init(
                ExitCode.failed, key: "database_url", "Postgres refuses: \(error)", hint: refusal.advice)
        case .deadlineExceeded:
            self.init(
                ExitCode.failed, key: "database_url", "\(error)",
                hint: "Postgres is there and does not answer: look at its load, and for locks in pg_stat_activity")
        case .unexpectedResult:
            self.init(
                ExitCode.failed, "\(error)",
                hint: "the schema may be another version's: type: lark-gateway check\(file.option)")
        }
    }

    private init(_ error: CocoaError) {
        let reason = (error.underlying as? POSIXError).map { String(cString: strerror(Int32($0.code.rawValue))) }
        let words = reason ?? error.localizedDescription
        self.init(
            ExitCode.failed, error.filePath.map { "\($0): \(words)" } ?? words,
            hint: "look at the rights of that path, and at free disk space")
    }
}
