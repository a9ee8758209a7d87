import Foundation

/// The ways into a private server for workers that run as system users of their own: for each user a socket in a folder
/// that this user alone can reach, and a database role of the user's name, which `peer` gives to that user.
package struct WorkerDoors: Sendable, Equatable {
    /// Holds a folder for each user.
    let directory: String
    /// System users; each is a database role too.
    let users: [String]

    /// - Parameter users: names as `isUserName` takes them.
    package init(directory: String, users: [String]) {
        self.directory = directory
        self.users = users
    }

    /// Of max_connections (100), all workers together: the daemon and commands always have some left.
    static let connections = 60

    /// How many connections each worker's role may have.
    var connectionLimit: Int { max(1, Self.connections / max(1, users.count)) }

    /// Whether a name can be a system user and a role that is none of the server's own.
    package static func isUserName(_ name: String) -> Bool {
        let bytes = name.utf8
        func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte) || byte == UInt8(ascii: "_") }
        return (1...32).contains(bytes.count) && bytes.first.map(isLetter) == true && !name.hasPrefix("pg_")
            && bytes.allSatisfy { isLetter($0) || (0x30...0x39).contains($0) || $0 == UInt8(ascii: "-") }
            && !(ServerRoles.all + ["root", "all", "public", "none"]).contains(name)
    }

    package func folder(of user: String) -> String { directory + "/" + user }

    /// For the worker of a user: libpq takes the user's name for the role's.
    package func url(of user: String) -> String {
        "host='\(folder(of: user))' port=5432 dbname=\(PrivatePostgres.databaseName)"
    }

    private func socket(of user: String) -> String { folder(of: user) + "/.s.PGSQL.5432" }

    /// Whether a running server listens at each of them.
    var areOpen: Bool { users.allSatisfy { FileManager.default.fileExists(atPath: socket(of: $0)) } }

    /// Makes the folders: the server's user owns each, and the group of the worker's user may go through it.
    /// - Throws: `PrivatePostgres.Failure`.
    func makeFolders(owner: uid_t) throws {
        var status = stat()
        if stat(directory, &status) != 0 {
            guard mkdir(directory, 0o711) == 0 else { throw failure(directory, "can't be made: \(reason())") }
            // Whatever the umask is.
            chmod(directory, 0o711)
            if geteuid() != owner { chown(directory, owner, gid_t.max) }
        }
        try PrivateFolder.check(directory, owner: owner, .readable)
        for user in users { try makeFolder(of: user, owner: owner) }
    }

    private func makeFolder(of user: String, owner: uid_t) throws {
        guard let account = getpwnam(user)?.pointee else {
            throw PrivatePostgres.Failure.workers(
                problem: "there is no system user \(user)",
                remedy: "useradd --system --user-group --shell /usr/sbin/nologin \(user)")
        }
        guard account.pw_uid != owner, account.pw_uid != 0 else {
            throw PrivatePostgres.Failure.workers(
                problem: "\(user) is the user that runs Postgres, or root, and needs no way of its own",
                remedy: "name another system user")
        }
        let path = folder(of: user)
        if mkdir(path, 0o700) != 0, errno != EEXIST { throw failure(path, "can't be made: \(reason())") }
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == owner || geteuid() == 0
        else { throw failure(path, "is no folder of the user that runs Postgres") }
        if status.st_gid != account.pw_gid || status.st_uid != owner {
            guard lchown(path, geteuid() == 0 ? owner : uid_t.max, account.pw_gid) == 0 else {
                let group = getgrgid(account.pw_gid).map { String(cString: $0.pointee.gr_name) } ?? "\(account.pw_gid)"
                throw PrivatePostgres.Failure.workers(
                    problem: "\(path) can't be given to the group \(group): \(reason())",
                    remedy:
                        "as root: install -d -o \(Self.name(owner)) -g \(group) -m 710 \(path) (the systemd unit has "
                        + "ExecStartPre=+ for it)")
            }
        }
        guard status.st_mode & 0o777 == 0o710 || chmod(path, 0o710) == 0 else {
            throw failure(path, "can't be closed to others: \(reason())")
        }
    }

    private func failure(_ path: String, _ problem: String) -> PrivatePostgres.Failure {
        .workers(
            problem: "\(path) \(problem)",
            remedy: "set socket_directory to a folder of the daemon's user (systemd: "
                + "RuntimeDirectory=lark-gateway)")
    }

    private static func name(_ user: uid_t) -> String {
        getpwuid(user).map { String(cString: $0.pointee.pw_name) } ?? "\(user)"
    }

    private func reason() -> String { String(cString: strerror(errno)) }

    /// Lines of pg_hba.conf, before those of the server's own roles.
    var accessRules: [String] {
        users.flatMap { user in
            [
                "local \(PrivatePostgres.databaseName) \"\(user)\" peer map=lark_gateway_workers",
                "local all \"\(user)\" reject",
            ]
        }
    }

    /// Lines of pg_ident.conf. Who may be the gateway may be a worker too.
    func userMap(server: String) -> [String] {
        users.flatMap { user in
            [user, server, "root"].map { "lark_gateway_workers \"\($0)\" \"\(user)\"" }
        }
    }
}
