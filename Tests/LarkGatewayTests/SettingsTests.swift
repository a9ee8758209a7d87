import Foundation
import TestSupport
import Testing

@testable import Configuration
@testable import Gateway

/// What stands in the repository, and comes from the declaration of the keys.
private enum Checked {
    static func text(_ name: String) throws -> String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return try String(contentsOf: root.appendingPathComponent(name), encoding: .utf8)
    }
}

/// A configuration in which one key has a value.
private struct Sample: CustomTestStringConvertible {
    let path: String
    /// JSON.
    let value: String

    var testDescription: String { "\(path) = \(value.prefix(60))" }

    /// What else must be there for the key to be taken.
    private static let companions = [
        "pooler_url": #""database_url": "host=h""#, "pairing": #""public_url": "https://e.com""#,
        "sealing.previous[]": #""key": "\#(String(repeating: "ab", count: 32))""#,
    ]

    /// - Parameter extra: a member beside the key, in the same object.
    func text(extra: String? = nil) -> String {
        let names = path.split(separator: ".").map(String.init)
        var members = [extra, Self.companions[path]].compactMap(\.self)
        guard names.count == 2 else { return top(names[0], value, members) }
        if names[0] == "agents[]" { members += others(["workspace", "name"], than: names[1]) }
        if names[0] == "workers[]" { members += others(["user"], than: names[1]) }
        if names[0] == "installations[]" {
            members += others(["app_id", "app_secret", "workspace", "agent"], than: names[1])
        }
        let object = "{" + (members + [member(names[1], value)]).joined(separator: ", ") + "}"
        return top(names[0], object, [])
    }

    private func top(_ name: String, _ value: String, _ others: [String]) -> String {
        let companion = Self.companions[name].map { [$0] } ?? []
        return "{" + (Set(others + companion).sorted() + [member(name, value)]).joined(separator: ", ") + "}"
    }

    private func member(_ name: String, _ value: String) -> String {
        name.hasSuffix("[]") ? "\"\(name.dropLast(2))\": [\(value)]" : "\"\(name)\": \(value)"
    }

    private func others(_ names: [String], than name: String) -> [String] {
        names.filter { $0 != name }.map { "\"\($0)\": \"x\"" }
    }
}

/// Two good values of every key, of different meaning.
private func goodValues(_ folder: String) -> [String: [String]] {
    let durations = [#""500ms""#, #""1h2m3s4ms""#]
    let keys = ["ab", "cd"].map { "\"\(String(repeating: $0, count: 32))\"" }
    return [
        "database_url": [#""host=h""#, #""postgresql:///b""#], "pooler_url": [#""host=p""#, #""host=q""#],
        "state_directory": [#""/a""#, #""/b""#], "transport": [#""libcurl""#, #""urlsession""#],
        "network.ca_file": ["\"\(folder)/a.pem\"", "\"\(folder)/b.pem\""],
        "network.proxy": [#""http://p:1""#, #""socks5h://ann:pass@p:2""#, "null"],
        "network.no_proxy[]": [#""localhost""#, #""10.0.0.0/8""#],
        "network.insecure": ["true", "false"],
        "long_connection.handshake_timeout": durations, "long_connection.pong_timeout": durations,
        "long_connection.read_timeout": [#""31s""#, #""1h""#],
        "long_connection.max_frame": [#""64KiB""#, #""1GiB""#],
        "long_connection.max_message": [#""64KiB""#, #""1GiB""#],
        "agents[].workspace": [#""v""#, #""w""#], "agents[].name": [#""a""#, #""b""#],
        "agents[].runtime": [#""gpu""#, "null"], "agents[].may_mention_all": ["true", "false"],
        "installations[].app_id": [#""cli_1""#, #""A-b""#],
        "installations[].app_secret": [#""s""#, #""t""#],
        "installations[].domain": [#""feishu""#, #""lark""#, #""http://127.0.0.1:1""#, #""https://h/p?q=r""#],
        "installations[].workspace": [#""v""#, #""w""#], "installations[].agent": [#""a""#, #""b""#],
        "installations[].access": [#""pairing""#, #""open""#], "installations[].locale": [#""en""#, #""zh""#],
        "installations[].strangers_in_context": [#""include""#, #""omit""#],
        "workers[].user": [#""w""#, #""agent-1""#], "workers[].runtimes[]": [#""gpu""#, #""default""#],
        "socket_directory": [#""/a""#, #""/b""#], "batching.silence_window": durations,
        "batching.max_wait": [#""3s""#, #""1m""#],
        "send_limits.per_chat_second": ["1", "1000"], "send_limits.per_app_second": ["1", "10000"],
        "send_limits.per_app_minute": ["1", "100000"], "lease.ttl": durations,
        "lease.renew_every": [#""1s""#, #""45s""#],
        "sealing.key": keys + [#""\#(Data(repeating: 7, count: 32).base64EncodedString())""#],
        "sealing.previous[]": keys, "shutdown_timeout": durations, "log.level": [#""debug""#, #""error""#],
        "log.format": [#""json""#, #""text""#].reversed(),
        "metrics.listen": [#""0.0.0.0:0""#, #""255.249.199.9:65535""#, "null"],
        "public_url": [#""https://e.com""#, #""http://e.com:8080/a/b""#],
        "pairing.listen": [#""127.0.0.1:1""#, #""127.0.0.1:59999""#], "pairing.exposed": ["true", "false"],
        "$schema": [#""./config.schema.json""#, #""x""#],
    ]
}

/// Values of every type and, for some key, at or beyond its bounds.
private let anyValues =
    [
        "null", "true", "false", "0", "1", "-1", "1.5", "5.0", "1000", "1001", "10000", "10001", "100000", "100001",
        "1e30",
        "[]", "{}", "[[]]", "[null]", "[1]", #"["x"]"#, #"[""]"#, #"{"x": 1}"#,
    ]
    + [
        "", " ", "x", "a b", "a,b", "ä", "default", "auto", "libcurl", "LIBCURL", "info", "json", "open", "omit", "en",
        "lark",
        "3", "0s", "00s", "1ms", "3s", "3 s", "-3s", "1.5s", "1m30s", "30s1m", "3s\\n", "1234567s", "123456s",
        "1234567890ms", "8760h", "h", "s", "٣s", "٣m3s", "1KiB", "64KiB", "16MiB", "16MB", "1GiB", "0001MiB",
        "1234567KiB",
        "KiB", "127.0.0.1:9", "1.2.3.4:5", "1.2.3.4:65535", "1.2.3.4:65536", "1.2.3.4:00080", "1.2.3.4", "1.2.3:4",
        "256.1.1.1:1",
        "01.1.1.1:1", "+1.1.1.1:1", "1.1.1.1:+1", "localhost:1", "[::1]:1", "http://h", "https://h", "HTTP://h",
        "ftp://h",
        "http://", "https:///p", "https://:1", "https://h?q", "https://h/#f", "https://u@h", "https://u:p@h/p",
        "socks5://h:1", "http://h/p", "host:3128", "env:", "file:", "credential:", "credential:a/b", "host=h", "host=",
        "postgresql:///x", "cli_1", "cli 1",
    ].map { "\"\($0)\"" }

@Suite("The keys of the configuration file")
struct SettingsTests {
    private let schema: SchemaValidator
    private let good: [String: [String]]

    init() throws {
        schema = SchemaValidator(try JSONText(parsing: SettingsSchema.document.text))
        let folder = try TemporaryFolder.make("certificates")
        for name in ["a", "b"] {
            try "-----BEGIN CERTIFICATE-----".write(toFile: "\(folder)/\(name).pem", atomically: true, encoding: .utf8)
        }
        good = goodValues(folder)
    }

    /// - Returns: nil when the reader takes it.
    private func problem(_ text: String) -> ConfigurationError? {
        do {
            _ = try Configuration(parsing: Data(text.utf8), environment: [:])
            return nil
        } catch {
            return error as? ConfigurationError ?? ConfigurationError(keyPath: "", problem: "\(error)")
        }
    }

    private func configuration(_ text: String, environment: [String: String] = [:]) throws -> Configuration {
        try Configuration(parsing: Data(text.utf8), environment: environment)
    }

    @Test("config.schema.json is what the declaration gives; scripts/document-configuration writes it")
    func schemaFile() throws {
        #expect(try Checked.text("config.schema.json") == SettingsSchema.document.text)
    }

    @Test("the table of keys in README.md is what the declaration gives; scripts/document-configuration writes it")
    func table() throws {
        #expect(try Checked.text("README.md").contains("\n\n" + SettingsTable.markdown + "\n"))
    }

    @Test("a key is declared once, and its tests know good values of it")
    func keys() {
        let paths = SettingsTable.rows.map(\.path)
        #expect(Set(paths).count == paths.count)
        #expect(Set(paths) == Set(good.keys))
        #expect(Settings.all.count == Mirror(reflecting: Settings.keys).children.count)
        #expect(AgentKeys.all.count == Mirror(reflecting: AgentKeys.keys).children.count)
        #expect(InstallationKeys.all.count == Mirror(reflecting: InstallationKeys.keys).children.count)
    }

    @Test("reader and schema take every key's good values, and neither an unknown key beside them")
    func goodValuesAreTaken() throws {
        for (path, values) in good {
            for value in values {
                let sample = Sample(path: path, value: value)
                #expect(problem(sample.text()) == nil, "\(sample.text())")
                #expect(try schema.accepts(sample.text()), "\(sample.text())")
                let unknown = sample.text(extra: #""no_key": 1"#)
                #expect(problem(unknown)?.problem.hasPrefix("unknown key; known here: ") == true, "\(unknown)")
                #expect(try !schema.accepts(unknown), "\(unknown)")
            }
        }
    }

    /// Where the schema takes what the reader refuses, because a schema can't say it.
    private func isBeyondSchema(_ error: ConfigurationError) -> Bool {
        Settings.rules.contains { $0.problem == error.problem }
            || [
                "neither a postgresql:// URI nor", "there is no such file", "expected 64KiB to 1GiB",
                "stands here twice",
                "it is not a file", "it is a directory", "not a URL of a proxy", "a port that is none",
                "http:// carries the app secret",
            ].contains(where: error.problem.contains)
    }

    @Test("reader and schema agree on values of every type at every key, but where a schema can't say it")
    func agreement() throws {
        var taken: Set<String> = []
        for path in good.keys.sorted() {
            // A list is tried as such, too.
            for path in Set([path, path.hasSuffix("[]") ? String(path.dropLast(2)) : path]) {
                for value in anyValues {
                    let text = Sample(path: path, value: value).text()
                    let error = problem(text)
                    let isAccepted = try schema.accepts(text)
                    if error == nil { taken.insert(path) }
                    #expect(
                        (error == nil) == isAccepted || error.map(isBeyondSchema) == true,
                        "\(text): \(error?.description ?? "taken")")
                }
            }
        }
        // Else the values are too poor to say anything.
        #expect(
            good.keys.filter { !taken.contains($0) }.sorted() == [
                "network.ca_file", "sealing.key", "sealing.previous[]",
            ])
    }

    @Test("reader and schema agree on sections, on lists and on what must be there")
    func sections() throws {
        let names = Set(
            good.keys.filter { $0.contains(".") }.compactMap { $0.split(whereSeparator: { ".[".contains($0) }).first })
        for name in names.sorted() {
            for value in anyValues {
                let text = Sample(path: String(name), value: value).text()
                let isAccepted = try schema.accepts(text)
                #expect((problem(text) == nil) == isAccepted, "\(text): \(problem(text)?.description ?? "taken")")
            }
        }
        for text in [
            "[]", "null", "1", #"{"pooler_url": "host=h"}"#, #"{"pairing": {}}"#, #"{"agents": [{"name": "a"}]}"#,
            #"{"installations": [{"app_id": "a", "app_secret": "s", "workspace": "w"}]}"#,
            #"{"sealing": {"previous": []}}"#,
        ] {
            #expect(problem(text) != nil)
            #expect(try !schema.accepts(text), "\(text)")
        }
    }

    @Test("what a schema can't say the reader alone refuses")
    func beyondSchema() throws {
        for text in [
            #"{"log": {}, "log": {}}"#, #"{"database_url": "x"}"#, #"{"long_connection": {"max_frame": "1KiB"}}"#,
            #"{"shutdown_timeout": "99999h"}"#, #"{"network": {"ca_file": "/nowhere"}}"#,
            #"{"database_url": "env:NO"}"#, #"{"workers": [{"user": "root"}]}"#,
            #"{"workers": [{"user": "a"}], "database_url": "host=h"}"#,
            #"{"workers": [{"user": "a"}, {"user": "a"}]}"#,
            #"{"lease": {"ttl": "1s", "renew_every": "1s"}}"#,
            #"{"transport": "urlsession", "network": {"proxy": "p"}}"#,
            #"{"agents": [{"workspace": "w", "name": "a"}, {"workspace": "w", "name": "a"}]}"#,
        ] {
            #expect(problem(text) != nil, "\(text)")
            #expect(try schema.accepts(text), "\(text)")
        }
    }

    @Test("the example names the schema, and keeps it")
    func example() throws {
        let example = try JSONText(parsing: Checked.text("config.example.json"))
        #expect(example["$schema"] == .string("./config.schema.json"))
        #expect(try schema.accepts(example))
    }

    @Test(
        "a change of a key needs a restart where the table says so, and the log then names the key or its section; else it is applied, and named"
    )
    func restarts() throws {
        for row in SettingsTable.rows {
            let values = try #require(good[row.path])
            let configurations = try values.prefix(2).map {
                try configuration(Sample(path: row.path, value: $0).text())
            }
            let name = String(row.path.prefix { !".[".contains($0) })
            let expected = row.needsRestart ? [name] : []
            #expect(configurations[1].keysForRestart(since: configurations[0]) == expected, "\(row.path)")
            #expect(configurations[1].keysForRestart(since: configurations[1]) == [], "\(row.path)")
            let applied = configurations[1].appliedKeys(since: configurations[0])
            #expect(applied.isEmpty == row.needsRestart, "\(row.path): \(applied)")
            // Of a list of records its name.
            let key = row.path.contains("[].") ? name : row.path.replacing("[]", with: "")
            #expect(row.needsRestart || applied.contains(key), "\(row.path): \(applied)")
            #expect(configurations[1].appliedKeys(since: configurations[1]) == [], "\(row.path)")
        }
        let reloaded = SettingsTable.rows.filter { !$0.needsRestart }.map { $0.path.prefix { !".[".contains($0) } }
        #expect(
            Set(reloaded) == [
                "agents", "installations", "batching", "send_limits", "sealing", "log", "$schema",
            ])
    }

    @Test("a secret's source that moves, with the secret the same, needs no restart; a secret that changes there does")
    func movedSecret() throws {
        let environment = ["A": "host=a", "B": "host=a"]
        let old = try configuration(#"{"database_url": "env:A"}"#, environment: environment)
        let moved = try configuration(#"{"database_url": "env:B"}"#, environment: environment)
        #expect(moved.keysForRestart(since: old) == [])
        let changed = try configuration(#"{"database_url": "env:A"}"#, environment: ["A": "host=b"])
        #expect(changed.keysForRestart(since: old) == ["database_url"])
    }

    @Test("what config print says is a configuration that means the same, with every key that is set, in order")
    func printing() throws {
        let environment = [
            "DB": "host=h password=hunter2", "S": "hunter2", "K": String(repeating: "ab", count: 32),
            "https_proxy": "http://ann:hunter2@proxy:1", "no_proxy": "localhost",
        ]
        let text = """
            {"database_url": "env:DB", "pooler_url": "env:DB", "public_url": "https://e.com", "sealing": {"previous": ["env:K"],
             "key": "env:K"}, "lease": {"ttl": "9s"}, "agents": [{"workspace": "w", "name": "a", "runtime": null}],
             "installations": [{"app_id": "c", "app_secret": "env:S", "workspace": "w", "agent": "a", "domain": "lark"}],
             "metrics": {"listen": null}, "state_directory": "/s\\u001b\\u009b",
             "socket_directory": "/r"}
            """
        let read = try configuration(text, environment: environment)
        let printed = read.effective.text
        let again = try configuration(printed, environment: environment)
        #expect(again.effective.text == printed)
        // The address of the proxy is shown, not its password.
        #expect(again.keysForRestart(since: read) == ["network"])
        #expect(again.agents == read.agents)
        #expect(again.sealing.ids == read.sealing.ids)
        #expect(again.installations.map(\.appSecret) == ["hunter2"])
        #expect(again.network.proxies.https?.address == "http://proxy:1")
        #expect(!printed.contains("hunter2") && !printed.contains("ann"))
        #expect(printed.unicodeScalars.allSatisfy { $0 == "\n" || $0.properties.generalCategory != .control })
        #expect(try schema.accepts(printed))
        // Every key, in the order of the table; an element of a list has its own.
        var rest = printed[...]
        let unset = ["network.ca_file", "$schema", "workers[].user", "workers[].runtimes[]"]
        for row in SettingsTable.rows where !unset.contains(row.path) {
            let name = row.path.replacing("[]", with: "").split(separator: ".").last ?? ""
            let found = rest.range(of: "\"\(name)\": ")
            #expect(found != nil, "\(row.path)")
            if let found { rest = rest[found.upperBound...] }
        }
    }

    @Test("an empty configuration prints every default, and each is what the table says")
    func printedDefaults() throws {
        let printed = try JSONText(parsing: configuration("{}").effective.text)
        var untold: [String] = []
        for row in SettingsTable.rows where row.standard.hasPrefix("`") && !row.path.contains("[]") {
            let names = row.path.split(separator: ".").map(String.init)
            let value = names.reduce(printed) { $0[$1] ?? .null }
            guard let standard = row.standard.split(separator: "`").first,
                let expected = try? JSONText(parsing: String(standard)), names[0] != "pairing"
            else {
                untold.append(row.path)
                continue
            }
            #expect(value == expected, "\(row.path)")
        }
        // Their standard is another key, a variable, or that of a page which is not served.
        #expect(
            untold == [
                "state_directory", "network.proxy", "long_connection.max_frame", "socket_directory", "pairing.listen",
                "pairing.exposed",
            ])
    }

    @Test("I8: no secret that stands in the file itself is printed, at whichever key")
    func literalSecrets() throws {
        let key = String(repeating: "ab", count: 32)
        let text = """
            {"database_url": "host=h password=hunter2", "pooler_url": "postgresql://ann:hunter2@p/x",
             "network": {"proxy": "http://ann:hunter2@p:1"}, "sealing": {"key": "\(key)", "previous": ["\(key)"]},
             "installations": [{"app_id": "c", "app_secret": "hunter2", "workspace": "w", "agent": "a"}]}
            """
        let printed = try configuration(text).effective.text
        #expect(!printed.contains("hunter2") && !printed.contains("abab"))
        #expect(printed.contains(#""key": "(not printed)""#) && printed.contains(#""previous": ["(not printed)"]"#))
    }

    @Test("for a command that needs no secret one that can't be read is no error; any other mistake at it is")
    func unneededSecrets() throws {
        func parse(_ text: String) throws -> Configuration {
            try Configuration(parsing: Data(text.utf8), environment: [:], for: .nothing)
        }
        let printed = try parse(
            """
            {"database_url": "credential:db", "sealing": {"key": "file:/no/such", "previous": ["env:NO"]},
             "network": {"proxy": "credential:proxy"},
             "installations": [{"app_id": "c", "app_secret": "env:NO", "workspace": "w", "agent": "a"}]}
            """
        ).effective.text
        for source in ["credential:db", "file:/no/such", "env:NO", "credential:proxy"] {
            #expect(printed.contains("\"\(source)\""))
        }
        for (text, message) in [
            (#"{"database_url": 5}"#, "database_url: found a number"),
            (#"{"sealing": {"key": "short"}}"#, "sealing.key: not 32 bytes"),
            (#"{"sealing": {"key": "env:NO", "previous": ["short", "env:NO"]}}"#, "sealing.previous[0]: not 32 bytes"),
            (#"{"sealing": {"key": "env:NO", "previous": ["env:NO", 5]}}"#, "sealing.previous"),
            (#"{"sealing": {"previous": []}}"#, "sealing.key: missing, expected a string"),
            (#"{"sealing": {"kye": "env:NO"}}"#, "sealing.kye: unknown key"),
            (
                #"{"installations": [{"app_id": "c", "workspace": "w", "agent": "a"}]}"#,
                "installations[0].app_secret: missing"
            ),
        ] {
            let error = #expect(throws: ConfigurationError.self) { try parse(text) }
            #expect(error?.description.hasPrefix(message) == true, "\(String(describing: error))")
        }
    }

    @Test("a proxy that stands elsewhere is shown as where it stands, and one of the environment by its address")
    func proxySources() throws {
        let named = try configuration(
            #"{"network": {"proxy": "env:PROXY"}}"#, environment: ["PROXY": "http://ann:hunter2@proxy:1"])
        #expect(named.network.proxies.https?.address == "http://proxy:1")
        #expect(named.effective.text.contains(#""proxy": "env:PROXY""#))
        let plain = try configuration("{}", environment: ["http_proxy": "http://ann:hunter2@plain:2"])
        #expect(plain.effective.text.contains(#""proxy": "http://plain:2""#))
        #expect(!(named.effective.text + plain.effective.text).contains("hunter2"))
        // Not read: the environment's does not stand in for it.
        let unread = try Configuration(
            parsing: Data(#"{"network": {"proxy": "env:NO"}}"#.utf8),
            environment: ["https_proxy": "http://other:3"], for: .nothing)
        #expect(unread.network.proxies.https == nil)
    }

    @Test("I8: an address with a user is refused, and nothing of it is repeated", arguments: ["domain", "public_url"])
    func addressesWithUsers(key: String) throws {
        let address = "https://ann:hunter2@example.com"
        let text =
            key == "domain"
            ? """
            {"installations": [{"app_id": "c", "app_secret": "s", "workspace": "w", "agent": "a",
             "domain": "\(address)"}]}
            """ : #"{"pairing": {"listen": "127.0.0.1:1"}, "public_url": "\#(address)"}"#
        let error = #expect(throws: ConfigurationError.self) { try configuration(text) }
        #expect(error?.description.contains("an address with a user or an @") == true, "\(String(describing: error))")
        #expect(error?.description.contains("hunter2") == false)
    }
}
