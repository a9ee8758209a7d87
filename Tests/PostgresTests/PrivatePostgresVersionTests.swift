import AsyncRuntime
import Foundation
import TestSupport
import Testing

@testable import Postgres

@Suite("Which Postgres runs a private cluster")
struct PrivatePostgresVersionTests {
    private let deadline = Deadline.after(.seconds(60))
    /// Holds the folders of the versions.
    private let root: String
    private let directory: String

    init() throws {
        root = try TemporaryFolder.make("versions")
        directory = try TemporaryFolder.make("cluster")
        chmod(directory, 0o700)
    }

    private var runAs: String? { geteuid() == 0 ? "postgres" : nil }

    private func server(searchPath: [String] = []) -> PrivatePostgres {
        var server = PrivatePostgres(directory: directory, runAs: runAs, settings: ["fsync": "off"])
        server.binaries = ServerBinaries(root: root, searchPath: searchPath)
        return server
    }

    /// Programs that fail, and say from which folder they were run.
    private func installFake(_ folder: String, version: String = "") throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for program in ["pg_ctl", "initdb"] {
            let script = """
                #!/bin/sh
                [ "$1" = --version ] && { echo "\(program) (PostgreSQL) \(version)"; exit 0; }
                echo "run from \(folder)" >&2
                exit 1

                """
            let file = "\(folder)/\(program)"
            try Data(script.utf8).write(to: URL(fileURLWithPath: file))
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file)
        }
    }

    private func makeCluster(version: String) throws {
        try FileManager.default.createDirectory(atPath: directory + "/data", withIntermediateDirectories: true)
        try Data("\(version)\n".utf8).write(to: URL(fileURLWithPath: directory + "/data/PG_VERSION"))
    }

    private func failure(of server: PrivatePostgres) async throws -> String {
        let error = await #expect(throws: PrivatePostgres.Failure.self) { try await server.start(deadline: deadline) }
        return "\(try #require(error))"
    }

    @Test("a cluster goes on with the version that made it when a newer one is installed beside it")
    func realServer() async throws {
        let programs = try await ServerBinaries().newest(deadline: deadline)
        let version = try #require(Int(programs.split(separator: "/").dropLast().last ?? ""))
        try FileManager.default.createDirectory(atPath: "\(root)/\(version)", withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: "\(root)/\(version)/bin", withDestinationPath: programs)
        try await server().start(deadline: deadline)
        try await server().stop(deadline: deadline)

        try installFake("\(root)/\(version + 1)/bin")
        try await server().start(deadline: deadline)
        let pool = Pool(url: server().url, size: 1)
        #expect(try await pool.rows("SELECT 1") == ["(1)"])
        await pool.close()
        try await server().stop(deadline: deadline)
    }

    @Test("a new cluster is made by the newest version")
    func newCluster() async throws {
        for version in ["9.6", "13", "14", "15", "17"] { try installFake("\(root)/\(version)/bin") }
        #expect(try await failure(of: server()).hasPrefix("initdb failed: run from \(root)/17/bin"))
        // One whose programs were taken away is none.
        try FileManager.default.removeItem(atPath: "\(root)/17/bin")
        #expect(try await failure(of: server()).hasPrefix("initdb failed: run from \(root)/15/bin"))
    }

    @Test("a version that is gone is named, with the cluster, what there is, and what to do; nothing is touched")
    func missing() async throws {
        for version in ["15", "17"] { try installFake("\(root)/\(version)/bin") }
        try makeCluster(version: "16")
        let text = try await failure(of: server())
        #expect(
            text
                == "the Postgres cluster in \(directory)/data was made by version 16, and installed is 17, 15: install "
                + "version 16 (on Debian the package postgresql-16), or move the cluster to another version with pg_upgrade"
        )
        await #expect(throws: PrivatePostgres.Failure.self) { try await server().stop(deadline: deadline) }
        #expect(try FileManager.default.subpathsOfDirectory(atPath: directory).sorted() == ["data", "data/PG_VERSION"])
        let error = PrivatePostgres.Failure.versionNotInstalled(version: 16, data: "", installed: [])
        #expect(error.isSetUp && error.description.contains("no Postgres server is installed"))
    }

    @Test("a cluster that is too old needs pg_upgrade, also where its version is installed", arguments: ["9.6", "13"])
    func tooOld(version: String) async throws {
        for version in ["9.6", "13", "15"] { try installFake("\(root)/\(version)/bin") }
        try makeCluster(version: version)
        let text = try await failure(of: server(searchPath: ["\(root)/13/bin"]))
        #expect(text.hasSuffix(": version 14 or newer is needed; move the cluster to one with pg_upgrade"))
    }

    @Test("programs in PATH are asked for their version")
    func inPath() async throws {
        let (old, new, mute) = (root + "/old", root + "/new", root + "/mute")
        try installFake(old, version: "15.8 (Debian 15.8-1)")
        try installFake(new, version: "18beta1")
        try installFake(mute, version: "")
        let server = server(searchPath: ["/nowhere", mute, new, old])
        try makeCluster(version: "15")
        let data = directory + "/data"
        #expect(try await server.binaries.matching(clusterIn: data, deadline: deadline) == old)
        try makeCluster(version: "18")
        #expect(try await server.binaries.matching(clusterIn: data, deadline: deadline) == new)
        try makeCluster(version: "16")
        #expect(try await failure(of: server).contains("installed is 18 in \(new), 15 in \(old): "))
    }

    @Test(
        "a cluster that does not say its version is not guessed at",
        arguments: ["", "fifteen", "-15", "99999999999999999999"])
    func unreadable(text: String) async throws {
        try installFake(root + "/15/bin")
        try makeCluster(version: text)
        let message = try await failure(of: server())
        #expect(message.hasPrefix("\(directory)/data/PG_VERSION does not say"))
    }

    @Test("no server at all")
    func none() async throws {
        #expect(
            try await failure(of: server()).hasPrefix("no Postgres server binaries in \(root)/*/bin, PATH: install"))
    }

    @Test("what a person must mend ends with code 78: trying again does not help")
    func setUp() {
        #expect(PrivatePostgres.Failure.versionUnreadable(file: "").isSetUp)
        #expect(!PrivatePostgres.Failure.failed(step: "", output: "").isSetUp)
    }

    @Test("a new cluster is made by the newest version in PATH, and by none that is too old")
    func newestInPath() async throws {
        let folders = ["13", "15", "14"].map { (version: $0, path: "\(directory)/programs-\($0)") }
        for folder in folders { try installFake(folder.path, version: "\(folder.version).4") }
        let binaries = ServerBinaries(root: root, searchPath: folders.map(\.path))
        #expect(try await binaries.newest(deadline: deadline) == folders[1].path)
        let error = try await failure(of: server(searchPath: [folders[0].path]))
        #expect(error.hasPrefix("no Postgres server binaries in"))
        #expect(!FileManager.default.fileExists(atPath: directory + "/data"))
    }

    @Test("a program in PATH that does not say its version in time is an error, not a wait")
    func silentProgram() async throws {
        let folder = directory + "/silent"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data("#!/bin/sh\nexec sleep 600\n".utf8).write(to: URL(fileURLWithPath: folder + "/pg_ctl"))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: folder + "/pg_ctl")
        let binaries = ServerBinaries(root: root, searchPath: [folder])
        await #expect(throws: DeadlineExceeded.self) {
            try await binaries.newest(deadline: .after(.milliseconds(200)))
        }
    }
}
