import Foundation
import TestSupport
import WebSocket
import Testing

@testable import Gateway
@testable import Configuration
@testable import lark_gateway
@testable import Store

/// What an installation must name.
private let fourNames = #""app_id": "cli_1", "app_secret": "s", "workspace": "acme", "agent": "support""#

@Suite("The configuration file")
struct ConfigurationTests {
    private func parse(_ text: String, environment: [String: String] = [:]) throws -> Configuration {
        try Configuration(parsing: Data(text.utf8), environment: environment)
    }

    @Test("an empty one has every default")
    func defaults() throws {
        let configuration = try parse("{}")
        #expect(configuration.databaseURL == nil)
        #expect(configuration.batching == Batching(silenceWindow: .seconds(3), maxWait: .seconds(30)))
        #expect(configuration.lease == LeaseTiming(ttl: .seconds(90), renewEvery: .seconds(30)))
        #expect(configuration.shutdownTimeout == .seconds(15))
        #expect(configuration.metrics == ListenAddress(host: "127.0.0.1", port: 9464))
        #expect(configuration.log == LogSettings())
    }

    @Test("an installation needs its four names, and has a default for the rest")
    func installation() throws {
        let configuration = try parse(#"{"installations": [{\#(fourNames)}]}"#)
        let installation = try #require(configuration.installations.first)
        #expect(installation.domain.absoluteString == "https://open.feishu.cn")
        #expect(installation.access == .pairing)
        #expect(installation.locale == .zh)
        let lark = try parse(#"{"installations": [{\#(fourNames), "domain": "lark", "access": "open"}]}"#)
        #expect(lark.installations[0].domain.absoluteString == "https://open.larksuite.com")
        #expect(lark.installations[0].locale == .en)
    }

    @Test("only a file that says itself that there are no bots may revoke all of them")
    func mayRevokeAll() throws {
        func mayRevokeAll(_ text: String) throws -> Bool {
            try parse(text).gatewaySettings(databaseURL: "").mayRevokeAll
        }
        #expect(try mayRevokeAll(#"{"installations": []}"#))
        #expect(try !mayRevokeAll("{}"))
        #expect(try !mayRevokeAll(#"{"installations": [{\#(fourNames)}]}"#))
    }

    @Test("an agent's runtime is default unless it is named; null is offline")
    func agents() throws {
        let configuration = try parse(
            #"{"agents": [{"workspace": "w", "name": "a"}, {"workspace": "w", "name": "b", "runtime": null}, {"workspace": "w", "name": "c", "runtime": "gpu"}]}"#
        )
        #expect(configuration.agents.map(\.runtime) == ["default", nil, "gpu"])
    }

    @Test("config.example.json is what this version reads")
    func example() throws {
        let path = ((#filePath as NSString).deletingLastPathComponent as NSString).appendingPathComponent(
            "../../config.example.json")
        let data = try #require(FileManager.default.contents(atPath: path))
        let folder = try TemporaryFolder.make("credentials")
        try "s3cret".write(toFile: folder + "/lark_app_secret", atomically: true, encoding: .utf8)
        let configuration = try Configuration(parsing: data, environment: ["CREDENTIALS_DIRECTORY": folder])
        #expect(configuration.installations.map(\.appSecret) == ["s3cret"])
    }

    @Test(
        "S11: plain http is for this machine; elsewhere it must be said, and is warned of, as is a public_url of http")
    func inClear() throws {
        func warnings(_ domain: String, _ extra: String = "") throws -> [String] {
            try parse(#"{"installations": [{\#(fourNames), "domain": "\#(domain)"}]\#(extra)}"#).warnings.map(\.key)
        }
        for domain in ["http://127.0.0.1:8700", "http://localhost:1", "http://[::1]:1", "https://h", "lark"] {
            #expect(try warnings(domain) == [])
        }
        let insecure = #", "network": {"insecure": true}"#
        #expect(try warnings("http://h", insecure) == ["installations[0].domain"])
        #expect(try warnings("https://h", insecure) == [])
        #expect(try parse(#"{"public_url": "http://e.com"}"#).warnings.map(\.key) == ["public_url"])
        #expect(try parse(#"{"public_url": "https://e.com"}"#).warnings.isEmpty)
        #expect(try parse(#"{"public_url": "http://127.0.0.1:1"}"#).warnings.isEmpty)
    }

    @Test(
        "each mistake names its key path, what was found and what is expected",
        arguments: [
            ("", "not JSON"), ("[]", "found an array, expected an object"),
            (#"{"x": 1}"#, "x: unknown key; known here: database_url"),
            (#"{"agents": [], "installations": [], "agents": []}"#, "agents: stands twice"),
            (#"{"log": {"level": "info", "level": "debug"}}"#, "log.level: stands twice"),
            (
                #"{"installations": [{\#(fourNames)}, {"app_secret": "a", \#(fourNames)}]}"#,
                "installations[1].app_secret: stands twice"
            ),
            (#"{"installations": [], "instal\u006cations": []}"#, "installations: stands twice"),
            (#"{"sealing": {"key": "\\\"", "previous": [], "key": "{"}, "log": 5}"#, "sealing.key: stands twice"),
            (#"{"unknown": [[{}, [{"a": 1, "b": {"a": 1}, "a": 2}]]]}"#, "unknown[0][1][0].a: stands twice"),
            (#"{"database_url": 5}"#, "database_url: found a number, expected a string"),
            (#"{"database_url": "host=h password"}"#, "database_url: neither a postgresql:// URI nor"),
            (#"{"transport": "pigeon"}"#, #"transport: found "pigeon", expected "auto" or "libcurl" or "urlsession""#),
            (
                #"{"transport": "urlsession", "network": {"proxy": "http://p:1"}}"#,
                #"transport: "urlsession" knows neither ca_file nor a proxy"#
            ),
            (#"{"network": {"ca_file": "/nowhere.pem"}}"#, "network.ca_file: there is no such file"),
            (#"{"network": {"ca_file": "/dev/zero"}}"#, "network.ca_file: it is not a file"),
            (#"{"network": {"ca_file": "/etc/passwd"}}"#, "network.ca_file: the file holds no certificate"),
            (
                #"{"network": {"proxy": "ftp://u:hunter2@p"}}"#,
                "network.proxy: found a proxy of the scheme ftp; known: http, socks5, socks5h"
            ),
            (#"{"network": {"proxy": "env:NOPE"}}"#, "network.proxy: the environment has no variable NOPE"),
            (#"{"network": {"no_proxy": ["a,b"]}}"#, "network.no_proxy[0]: found several in one text"),
            (
                #"{"long_connection": {"max_frame": "16MB"}}"#,
                #"long_connection.max_frame: found "16MB", expected a size"#
            ),
            (
                #"{"long_connection": {"max_message": "1KiB"}}"#,
                #"long_connection.max_message: found "1KiB", expected 64KiB to 1GiB"#
            ),
            (
                #"{"long_connection": {"max_frame": "2MiB", "max_message": "1MiB"}}"#,
                "long_connection: max_frame is larger than max_message"
            ),
            (
                #"{"long_connection": {"pong_timeout": "2m", "read_timeout": "1m"}}"#,
                "long_connection: read_timeout is shorter than pong_timeout"
            ),
            (#"{"agents": {}}"#, "agents: found an object, expected an array"),
            (#"{"agents": [{"workspace": "w"}]}"#, "agents[0].name: missing, expected a string"),
            (#"{"agents": [{"workspace": "w", "name": ""}]}"#, "agents[0].name: found an empty string"),
            (#"{"agents": [{"workspace": "w", "name": "a", "runtime": true}]}"#, "agents[0].runtime: found a boolean"),
            (
                #"{"agents": [{"workspace": "w", "name": "a"}, {"workspace": "w", "name": "a"}]}"#,
                "agents[1].name: a stands here twice"
            ),
            (#"{"installations": [{"app_id": "cli_1"}]}"#, "installations[0].app_secret: missing"),
            (
                #"{"installations": [{"app_id": "a b", "app_secret": "s"}]}"#,
                "installations[0].app_id: expected the app id"
            ),
            (
                #"{"installations": [{\#(fourNames), "domain": "ftp://x"}]}"#,
                "installations[0].domain: found \"ftp://x\""
            ),
            (
                #"{"installations": [{\#(fourNames), "domain": "http://open.feishu.cn"}]}"#,
                "installations[0].domain: http:// carries the app secret and all messages in clear"
            ),
            (
                #"{"installations": [{\#(fourNames), "domain": "http://127.0.0.1.example"}]}"#,
                "installations[0].domain: http:// carries the app secret and all messages in clear"
            ),
            (#"{"network": {"insecure": "yes"}}"#, "network.insecure: found a string, expected true or false"),
            (
                #"{"installations": [{\#(fourNames), "access": "closed"}]}"#,
                #"installations[0].access: found "closed", expected "pairing" or "open""#
            ),
            (
                #"{"installations": [{\#(fourNames)}, {\#(fourNames)}]}"#,
                "installations[1].app_id: cli_1 stands here twice"
            ),
            (
                #"{"batching": {"silence_window": "0s"}}"#,
                "batching.silence_window: found \"0s\", expected more than zero"
            ),
            (
                #"{"batching": {"silence_window": "-3s"}}"#,
                "batching.silence_window: found \"-3s\", expected a duration"
            ),
            (#"{"batching": {"silence_window": 3}}"#, "batching.silence_window: found a number"),
            (#"{"batching": {"silence_window": "10s", "max_wait": "5s"}}"#, "batching: max_wait is shorter"),
            (#"{"lease": {"ttl": "10s", "renew_every": "8s"}}"#, "lease: renew_every must be at most half"),
            (#"{"shutdown_timeout": "soon"}"#, "shutdown_timeout: found \"soon\""),
            (#"{"log": {"level": "loud"}}"#, "log.level: found \"loud\""),
            (#"{"log": {"file": "x"}}"#, "log.file: unknown key"),
            (#"{"metrics": {"listen": "localhost"}}"#, "metrics.listen: found \"localhost\""),
            (#"{"metrics": {"listen": "1.2.3.4:99999"}}"#, "metrics.listen: found"),
            (#"{"public_url": "example.com"}"#, "public_url: found \"example.com\""),
            (
                #"{"public_url": "https://e.com/?a=b"}"#,
                "public_url: found a text of 18 bytes, expected an http(s) URL"
            ),
            (#"{"public_url": "https://me@e.com"}"#, "public_url: found"),
            (#"{"pairing": {"listen": "127.0.0.1:1"}}"#, "pairing: a pairing page without public_url"),
            (#"{"public_url": "https://e.com", "pairing": {"listen": null}}"#, "pairing.listen: found"),
            (
                #"{"public_url": "https://e.com", "pairing": {"listen": "0.0.0.0:9465"}}"#,
                "pairing.listen: others than this machine can reach it"
            ),
            (#"{"public_url": "https://e.com", "pairing": {"port": 1}}"#, "pairing.port: unknown"),
            (
                #"{"installations": [{"app_id": "cli_1", "app_secret": "env:NOPE", "workspace": "w", "agent": "a"}]}"#,
                "installations[0].app_secret: the environment has no variable NOPE"
            ),
            (
                #"{"installations": [{"app_id": "cli_1", "app_secret": "file:/no/such", "workspace": "w", "agent": "a"}]}"#,
                "installations[0].app_secret: file /no/such: there is no such file"
            ),
            (
                #"{"installations": [{"app_id": "cli_1", "app_secret": "credential:x", "workspace": "w", "agent": "a"}]}"#,
                "installations[0].app_secret: credential x: no $CREDENTIALS_DIRECTORY"
            ),
        ])
    func mistakes(text: String, message: String) throws {
        let error = #expect(throws: ConfigurationError.self) { try parse(text) }
        #expect("\(try #require(error))".contains(message), "\(String(describing: error))")
    }

    @Test("what stands once in each of several objects, or as a value, stands once")
    func keysOnce() throws {
        let text = """
            {"agents": [{"workspace": "name", "name": "workspace"}, {"workspace": "name", "name": "\\"name\\", \\\\"}],
             "log": {"level": "info"}, "metrics": {"listen": null}, "public_url": "https://e.com/{[,:",
             "pairing": {"listen": "127.0.0.1:1"}}
            """
        #expect(try parse(text).agents.count == 2)
    }

    @Test("a byte order mark is no matter; another encoding than UTF-8 is refused, and no way past the other checks")
    func encodings() throws {
        let twice = #"{"log": {}, "log": {}}"#
        let mark = Data([0xEF, 0xBB, 0xBF])
        #expect(try Configuration(parsing: mark + Data("{}".utf8), environment: [:]).agents.isEmpty)
        let error = #expect(throws: ConfigurationError.self) {
            try Configuration(parsing: mark + Data(twice.utf8), environment: [:])
        }
        #expect(error?.description.hasPrefix("log: stands twice, the second time in line 1, column 13;") == true)
        for encoding in [String.Encoding.utf16, .utf16LittleEndian, .utf16BigEndian, .utf32, .utf32LittleEndian] {
            for text in ["{}", twice] {
                let data = try #require(text.data(using: encoding))
                let error = #expect(throws: ConfigurationError.self) {
                    try Configuration(parsing: data, environment: [:])
                }
                #expect(error?.problem.contains("not JSON in UTF-8") == true)
            }
        }
    }

    @Test("4 MiB of keys are looked through in one pass")
    func manyKeys() throws {
        let keys = (0..<200_000).map { #""k\u0065y\#($0)": \#($0)"# }
        let text = #"{"unknown": {\#((keys + keys.suffix(1)).joined(separator: ","))}}"#
        let error = #expect(throws: ConfigurationError.self) { try parse(text) }
        #expect(error?.keyPath == "unknown.(a key of 9 bytes)")
    }

    @Test("a proxy stands in the file, else in the environment; null is none, and no_proxy is respected either way")
    func proxies() throws {
        let environment = ["https_proxy": "http://ann:hunter2@env:1", "no_proxy": "localhost", "P": "socks5h://file:2"]
        let fromEnvironment = try parse("{}", environment: environment).network.proxies
        #expect(fromEnvironment.https?.address == "http://env:1")
        #expect(fromEnvironment.exceptions == ["localhost"])
        let fromFile = try parse(#"{"network": {"proxy": "env:P"}}"#, environment: environment).network.proxies
        #expect(fromFile.https?.address == "socks5h://file:2")
        #expect(fromFile.http == fromFile.https)
        #expect(fromFile.exceptions == ["localhost"])
        let own = try parse(#"{"network": {"proxy": "env:P", "no_proxy": []}}"#, environment: environment)
        #expect(own.network.proxies.exceptions == [])
        #expect(try parse(#"{"network": {"proxy": null}}"#, environment: environment).network.proxies.https == nil)
        let error = #expect(throws: ConfigurationError.self) {
            try parse("{}", environment: ["ALL_PROXY": "gopher://ann:hunter2@x"])
        }
        #expect(error?.problem.hasPrefix("the environment's ALL_PROXY is a proxy of the scheme gopher") == true)
        #expect(error?.problem.contains("hunter2") == false)
    }

    @Test("limits and time-outs of the long connection")
    func longConnection() throws {
        let settings = try parse(
            #"{"long_connection": {"handshake_timeout": "5s", "pong_timeout": "10s", "max_frame": "1MiB", "max_message": "2MiB"}}"#
        ).longConnection
        #expect(settings.handshakeTimeout == .seconds(5))
        #expect(settings.rules.pongPatience == .seconds(10))
        #expect(settings.webSocket.limits == WebSocketLimits(maxFrameBytes: 1 << 20, maxMessageBytes: 2 << 20))
        #expect(try parse("{}").longConnection.webSocket.limits == WebSocketLimits())
    }

    @Test("I8: a secret comes from a literal, the environment or a file, and is in no error")
    func secrets() throws {
        let path = try TemporaryFolder.make("secret") + "/s"
        try "from-file\n".write(toFile: path, atomically: true, encoding: .utf8)
        func secret(_ source: String) throws -> String? {
            try parse(
                #"{"installations": [{"app_id": "c", "app_secret": "\#(source)", "workspace": "w", "agent": "a"}]}"#,
                environment: ["S": "from-env"]
            ).installations.first?.appSecret
        }
        #expect(try secret("literal") == "literal")
        #expect(try secret("env:S") == "from-env")
        #expect(try secret("file:\(path)") == "from-file")
        let error = #expect(throws: ConfigurationError.self) {
            try parse(#"{"installations": [{"app_id": "c", "app_secret": "hidden", "workspace": "w", "agent": 5}]}"#)
        }
        #expect(!"\(try #require(error))".contains("hidden"))
    }

    @Test(
        "durations",
        arguments: [
            ("500ms", .milliseconds(500)), ("3s", .seconds(3)), ("1m30s", .seconds(90)), ("2h", .seconds(7200)),
            ("1h1m1s1ms", .milliseconds(3_661_001)), ("", nil), ("3", nil), ("s", nil), ("1s1m", nil), ("1.5s", nil),
            ("3 s", nil),
            ("999999h", nil),
        ] as [(String, Duration?)])
    func durations(text: String, duration: Duration?) {
        #expect(DurationText.parse(text) == duration)
    }

    @Test("changed bytes never trap")
    func fuzz() {
        let original = Array(
            #"{"agents": [{"workspace": "w", "name": "a"}], "batching": {"silence_window": "3s"}}"#.utf8)
        for _ in 0..<2_000 {
            var bytes = original
            for _ in 0..<3 { bytes[Int.random(in: bytes.indices)] = UInt8.random(in: .min ... .max) }
            _ = try? Configuration(parsing: Data(bytes), environment: [:])
        }
    }
}

@Suite("The log")
struct LogWriterTests {
    private let event = LogEvent(
        .warning, "noun.verbed",
        [("app_id", .text("a \"b\"\n\u{1}")), ("count", .integer(-3)), ("flag", .boolean(true)), ("none", nil)])
    private let date = Date(timeIntervalSince1970: 1_780_000_000.5)

    @Test("JSON lines parse, whatever stands in a field")
    func json() throws {
        let line = LogWriter.json(event, at: date).bytes
        #expect(line.firstIndex(of: 0x0A) == line.count - 1)
        let object = try #require(try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any])
        #expect(object["event"] as? String == "noun.verbed")
        #expect(object["level"] as? String == "warning")
        #expect(object["app_id"] as? String == "a \"b\"\n\u{1}")
        #expect(object["count"] as? Int == -3)
        #expect(object["time"] as? String == "2026-05-28T20:26:40.500Z")
        #expect(object["none"] == nil)
    }

    @Test("the time is UTC to the millisecond, in every year", arguments: [0, 1, -1, 951_782_400, 4_102_444_799])
    func time(seconds: Int) {
        let date = Date(timeIntervalSince1970: Double(seconds))
        var line = LogLine()
        line.append(date)
        let expected = date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        #expect(String(decoding: line.bytes, as: UTF8.self) == expected)
    }

    @Test("text is for people, one line too")
    func text() {
        #expect(
            String(decoding: LogWriter.text(event, at: date).bytes, as: UTF8.self)
                == #"2026-05-28T20:26:40.500Z WARNING noun.verbed app_id="a \"b\"\n\u0001" count=-3 flag=true"# + "\n")
    }
}

@Suite("systemd")
struct SystemdTests {
    @Test("READY, WATCHDOG and STOPPING reach the socket that systemd names")
    func notifies() throws {
        let systemd = try NotifySocket()
        let notifier = SystemdNotifier(environment: ["NOTIFY_SOCKET": systemd.path, "WATCHDOG_USEC": "20000000"])
        #expect(notifier.watchdogInterval == .seconds(10))
        notifier.ready("1 installation")
        notifier.watchdog()
        notifier.stopping("flushing and closing")
        let received = (0..<3).compactMap { _ in systemd.next() }
        #expect(
            received == ["READY=1\nSTATUS=1 installation", "WATCHDOG=1", "STOPPING=1\nSTATUS=flushing and closing"])
    }

    @Test("a systemd that takes nothing any more holds nobody up")
    func deaf() throws {
        let systemd = try NotifySocket()
        let text = try String(contentsOfFile: "/proc/sys/net/unix/max_dgram_qlen", encoding: .utf8)
        let room = try #require(Int(text.trimmingCharacters(in: .whitespacesAndNewlines)))
        let notifier = SystemdNotifier(environment: ["NOTIFY_SOCKET": systemd.path])
        for _ in 0..<room + 3 { notifier.watchdog() }
        var count = 0
        while systemd.next() != nil { count += 1 }
        #expect((room...room + 2).contains(count))
    }

    @Test("without systemd, and with a watchdog for another process, nothing is sent")
    func none() {
        #expect(SystemdNotifier(environment: [:]).watchdogInterval == nil)
        #expect(SystemdNotifier(environment: ["WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"]).watchdogInterval == nil)
    }
}

@Suite("The command line")
struct ArgumentsTests {
    @Test("options, their two spellings, and the command behind --")
    func parsing() throws {
        let arguments = try Arguments(
            ["approve", "--config", "f", "--name=n", "--", "sh", "--x"], known: ["config", "name"])
        #expect(arguments.positional == ["approve"])
        #expect(arguments.options == ["config": "f", "name": "n"])
        #expect(arguments.command == ["sh", "--x"])
    }

    @Test(
        "mistakes are usage errors", arguments: [["--nope", "x"], ["--config"], ["--config", "a", "--config", "b"]])
    func mistakes(words: [String]) {
        #expect(throws: UsageError.self) { try Arguments(words, known: ["config"]) }
    }
}
