import Foundation
import TestSupport
import Testing

@testable import Configuration

@Suite("S23: secrets of the configuration")
struct ExposureTests {
    /// What may stand in a wrong place: keys, tokens, passwords, addresses with one.
    private static let secrets = [
        "hunter2", "S3cr3tS3cr3tS3cr3tS3cr3tS3cr3tS3", "9f86d081884c7d659a2feaa0c55ad015", "correct horse battery",
        "https://u:swordfish@x/", "postgresql://a:b@c/d", "QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "4f9ab3c2d1e0",
        "cli_a1b2c3d4", "4fq9ab2c-8de1f2a3", "LIBCURL", "-----BEGIN PRIVATE KEY-----",
    ]

    @Test("an error repeats no value and no key that could be a secret in a wrong place", arguments: secrets)
    func errors(secret: String) throws {
        let quoted = OrderedJSON.string(secret).line
        let installation = #""app_id": "cli_1", "app_secret": "s", "workspace": "w", "agent": "a""#
        for text in [
            #"{"public_url": \#(quoted)}"#, #"{"log": {"level": \#(quoted)}}"#, #"{"shutdown_timeout": \#(quoted)}"#,
            #"{"network": {"ca_file": \#(quoted)}}"#, #"{\#(quoted): 1}"#, #"{"log": {\#(quoted): 1}}"#,
            #"{\#(quoted): 1, \#(quoted): 2}"#, #"{"metrics": {"listen": \#(quoted)}}"#,
            #"{"long_connection": {"max_frame": \#(quoted)}}"#, #"{"transport": \#(quoted)}"#,
            #"{"installations": [{\#(installation), "access": \#(quoted)}]}"#,
            #"{"installations": [{\#(installation), "locale": \#(quoted)}]}"#,
            #"{"installations": [{\#(installation), "domain": \#(quoted)}]}"#,
        ] {
            let error = #expect(throws: ConfigurationError.self) {
                try Configuration(parsing: Data(text.utf8), environment: [:])
            }
            let words = "\(try #require(error))"
            #expect(!words.contains(secret) && !words.contains("swordfish"), "\(words)")
        }
    }

    @Test(
        "what was mistyped is repeated",
        arguments: [
            "loud", "soon", "0s", "1m30s", "-3s", "64KiB", "16MB", "ftp://x", "fieshu", "databse_url",
            "127.0.0.1:99999",
        ])
    func typos(text: String) {
        #expect(QuotedValue.of(text) == "\"\(text)\"")
    }

    @Test("the names of keys can be told, also of one that stands twice")
    func keys() {
        let names = SettingsTable.rows.flatMap { $0.path.split(separator: ".") }.map { $0.replacing("[]", with: "") }
        #expect(names.count > 30 && names.allSatisfy { QuotedValue.isHarmless(String($0)) })
    }

    private func exposed(_ mode: mode_t, _ text: String, folder: mode_t = 0o755) throws -> [ExposedFile] {
        let directory = try TemporaryFolder.make("exposed")
        let path = directory + "/config.json"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        chmod(path, mode)
        chmod(directory, folder)
        return try Configuration.load(path: path).exposedFiles(of: path, in: Surroundings(environment: [:]))
    }

    private let withSecret =
        #"{"installations": [{"app_id": "cli_1", "app_secret": "s3cret", "workspace": "w", "agent": "a"}]}"#

    @Test(
        "who may read and change the file",
        arguments: [
            (0o600, nil), (0o640, nil), (0o400, nil), (0o644, "everybody on this machine may read it"),
            (0o660, "its group may change it"), (0o666, "everybody on this machine may change it"),
            (0o602, "everybody on this machine may change it"),
        ] as [(mode_t, String?)])
    func modes(mode: mode_t, problem: String?) throws {
        let found = try exposed(mode, withSecret)
        #expect(found.count == (problem == nil ? 0 : 1))
        if let problem {
            let file = try #require(found.first)
            #expect(file.problem.hasPrefix(problem) && file.remedy.hasPrefix("chmod "))
        }
        // What is to be typed mends it.
        for file in found {
            #expect(system(file.remedy) == 0)
            #expect(ExposedFile(path: file.path, holdsSecrets: true) == nil)
        }
    }

    @Test("a file without secrets may be read, and any file in a folder that nobody else may enter")
    func harmless() throws {
        #expect(try exposed(0o644, #"{"database_url": "host=/run/postgresql dbname=a"}"#) == [])
        #expect(try exposed(0o644, #"{"database_url": "postgresql://a:secret@b/c"}"#).count == 1)
        #expect(try exposed(0o664, "{}").map(\.problem) == ["its group may change it"])
        #expect(try exposed(0o644, withSecret, folder: 0o750) == [])
    }

    @Test("a file that holds a secret is looked at too, wherever the configuration says that it is")
    func secretFiles() throws {
        let folder = try TemporaryFolder.make("secret")
        for name in ["a", "b"] {
            try "s3cret".write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
            chmod("\(folder)/\(name)", 0o644)
        }
        let names = [("cli_1", "file:\(folder)/a"), ("cli_2", "credential:b")].map { app, secret in
            #"{"app_id": "\#(app)", "app_secret": "\#(secret)", "workspace": "w", "agent": "a"}"#
        }
        let surroundings = Surroundings(environment: ["CREDENTIALS_DIRECTORY": folder])
        let configuration = try Configuration(
            parsing: Data(#"{"installations": [\#(names.joined(separator: ","))]}"#.utf8), in: surroundings)
        let path = try TemporaryFolder.make("exposed") + "/config.json"
        try "{}".write(toFile: path, atomically: true, encoding: .utf8)
        chmod(path, 0o644)
        let found = configuration.exposedFiles(of: path, in: surroundings)
        #expect(found.map(\.path).sorted() == ["\(folder)/a", "\(folder)/b"])
    }
}
