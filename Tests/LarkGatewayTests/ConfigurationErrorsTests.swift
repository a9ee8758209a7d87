import Foundation
import TestSupport
import Testing

@testable import Configuration
@testable import Gateway

@Suite("All that is wrong with a configuration file, at once")
struct ConfigurationErrorsTests {
    private func mistakes(_ text: String, in surroundings: Surroundings = Surroundings(environment: [:])) -> [String] {
        do {
            _ = try Configuration(parsing: Data(text.utf8), in: surroundings)
            return []
        } catch let error as ConfigurationError {
            return error.mistakes.map(\.description) + (error.rest > 0 ? ["and \(error.rest) more"] : [])
        } catch {
            return ["\(error)"]
        }
    }

    @Test("mistakes of several keys, in sections and in elements of lists, are all told with their paths")
    func several() {
        let found = mistakes(
            """
            {"databse_url": "x", "log": {"level": "loud", "fromat": "json", "level": "info"}, "lease": 5,
             "agents": [{"workspace": "w", "name": "a"}, {"name": 1}, {"workspace": "w", "name": "a"}],
             "installations": [{"app_id": "a b", "app_secret": "env:NO"}, {"app_id": "cli_1", "app_secret": "s",
               "workspace": "w", "agent": "a", "domain": "http://h"}],
             "batching": {"silence_window": "10s", "max_wait": "5s"}, "pairing": {"listen": "x", "exposed": 1}}
            """)
        let expected = [
            "log.level: stands twice, the second time in line 1, column 65;", "databse_url: unknown key",
            "agents[1].workspace: missing", "agents[1].name: found a number", "installations[0].app_id: expected",
            "installations[0].app_secret: the environment", "installations[0].workspace: missing",
            "installations[0].agent: missing", "lease: found a number, expected an object", "log.fromat: unknown key",
            "pairing.listen: found \"x\"", "pairing.exposed: found a number",
            "pairing: a pairing page without public_url", "batching: max_wait is shorter than silence_window",
            "agents[2].name: a stands here twice for w",
        ]
        for words in expected { #expect(found.contains { $0.hasPrefix(words) }, "\(words): \(found)") }
        #expect(found.count == expected.count, "\(found)")
    }

    @Test("a rule between keys is not told of where one of them can't be read")
    func rules() {
        #expect(
            mistakes(#"{"lease": {"ttl": "1x", "renew_every": "5m"}}"#) == [
                "lease.ttl: found \"1x\", expected a duration such as \"500ms\", \"3s\" or \"1m30s\""
            ])
        #expect(mistakes(#"{"transport": "urlsession", "network": {"proxy": "ftp://p"}}"#).count == 1)
    }

    @Test("thousands of mistakes are counted, and the first fifty told; on one line the first ten")
    func bounded() throws {
        let keys = (0..<20_000).map { #""k\#($0)": \#($0)"# }.joined(separator: ",")
        let elements = Array(repeating: "1", count: 50_000).joined(separator: ",")
        let twice = Array(repeating: #""x": 0"#, count: 20_000).joined(separator: ",")
        for text in ["{\(keys)}", #"{"agents": [\#(elements)]}"#, #"{"log": {\#(twice)}}"#] {
            let error = #expect(throws: ConfigurationError.self) {
                try Configuration(parsing: Data(text.utf8), environment: [:])
            }
            let thrown = try #require(error)
            #expect(thrown.mistakes.count == 50 && thrown.count >= 19_999)
            #expect(thrown.description.hasSuffix("; and \(thrown.count - 10) more"))
        }
    }

    @Test(
        "where a text is no JSON, the line, the column, and what was expected there",
        arguments: [
            ("{\n  \"log\": {}\n  \"lease\": {}\n}", "line 3, column 3: expected a comma or }"),
            ("{\"a\": \"ä\" 1}", "line 1, column 11: expected a comma or }"),
            ("", "line 1, column 1: the file is empty"),
            ("{\n", "line 2, column 1: the file ends here, and a closing }"),
            ("[[{", "line 1, column 4: the file ends here, and 3 brackets are not closed"),
            ("{// x\n}", "line 1, column 2: found a comment"), ("{\n# x\n}", "line 2, column 1: found a comment"),
            ("{\"a\": }", "line 1, column 7: expected a value"),
            ("{a: 1}", "line 1, column 2: expected a key in double"),
            ("{\"a\" 1}", "line 1, column 6: expected a colon"), ("{} {}", "line 1, column 4: expected the end"),
            ("{\"a\": 'x'}", "line 1, column 7: found ', expected a text in double quotes"),
            ("{\"a\": \"x\n}", "line 1, column 7: the text that begins here has no closing quote"),
            ("{\"a\": \"x\t\"}", "line 1, column 9: found a control character"),
            ("[\"\\x\"]", "line 1, column 3: found a \\ that escapes nothing"),
            ("[\"\\u12\"]", "line 1, column 3: expected four hexadecimal digits"),
            ("[\"\\ud800\"]", "line 1, column 3: found half of a surrogate pair"),
            ("[01]", "line 1, column 2: found a number that is none"), ("[1.]", "line 1, column 2: found a number"),
            ("[,]", "line 1, column 2: expected a value"), ("{\"a\": 1,, }", "line 1, column 9: expected a key"),
            ("[1,\n}", "line 2, column 1: expected a value"),
            ("{\"s\": hunter2}", "line 1, column 7: expected a value"),
            ("\u{FEFF}{]", "line 1, column 2: expected a key"),
            (
                String(repeating: "[", count: 600) + String(repeating: "]", count: 600),
                "it can't be read: a number that"
            ),
        ])
    func places(text: String, words: String) throws {
        let found = mistakes(text)
        #expect(found.count == 1 && found[0].hasPrefix("not JSON: \(words)"), "\(found)")
        #expect(!found[0].contains("hunter2"))
    }

    @Test("the grammar finds no fault in what is JSON, and the end of what is cut anywhere")
    func grammar() {
        let text = Array(
            #"{"a": [1, -0.5e+3, 10, "\"\\\u00e9\ud83d\ude00", true, false, null, [], {}], "b": {"c": "ä"}}"#.utf8)
        #expect(JSONSyntax.fault(in: text) == nil)
        for count in 0..<text.count { #expect(JSONSyntax.fault(in: Array(text[..<count])) != nil, "\(count)") }
    }

    @Test("a large text that is no JSON, at their end or deep within, is looked through in one pass")
    func largeFaults() {
        for text in [
            String(repeating: "[", count: 1 << 20), "[" + String(repeating: "1,\n", count: 1 << 18) + ",",
            "\"" + String(repeating: "\\\\", count: 1 << 19),
        ] {
            #expect(mistakes(text).count == 1)
        }
    }

    @Test("a file that can't be read is told of with its path and the reason, and so is a secret")
    func unreadable() throws {
        let folder = try TemporaryFolder.make("config")
        func problem(_ path: String) -> String {
            do {
                _ = try Configuration.load(path: path, in: Surroundings(environment: [:]))
                return ""
            } catch { return "\(error)" }
        }
        #expect(problem(folder + "/no.json") == "\(folder)/no.json: there is no such file")
        #expect(problem(folder) == "\(folder): it is a directory, expected a file")
        #expect(problem("/dev/null") == "/dev/null: it is not a file")
        try "{\n,}".write(toFile: folder + "/bad.json", atomically: true, encoding: .utf8)
        #expect(problem(folder + "/bad.json").hasPrefix("\(folder)/bad.json: not JSON: line 2, column 1: expected"))
        for (source, words) in [
            ("file:secret", "expected file:/ with an absolute path"), ("file:./secret", "expected file:/ with"),
            ("file:\(folder)/no", "file \(folder)/no: there is no such file"),
            ("file:\(folder)", "file \(folder): it is a directory"),
        ] {
            let text = #"{"database_url": "\#(source)"}"#
            #expect(mistakes(text)[0].hasPrefix("database_url: \(words)"), "\(mistakes(text))")
        }
    }

    @Test("a secret that begins with a byte order mark is refused, wherever it comes from")
    func mark() throws {
        let path = try TemporaryFolder.make("secret") + "/s"
        try Data([0xEF, 0xBB, 0xBF] + Array("hunter2".utf8)).write(to: URL(fileURLWithPath: path))
        for source in ["file:\(path)", "env:S", #"\ufeffhunter2"#] {
            let text =
                #"{"installations": [{"app_id": "c", "app_secret": "\#(source)", "workspace": "w", "agent": "a"}]}"#
            let found = mistakes(text, in: Surroundings(environment: ["S": "\u{FEFF}hunter2"]))
            #expect(found.map { $0.hasPrefix("installations[0].app_secret: ") } == [true], "\(found)")
            #expect(found.joined().contains("begins with a byte order mark") && !found.joined().contains("hunter2"))
        }
    }

    @Test("who looks at the whole file goes on without a secret that is out of reach, and without no other")
    func outOfReach() throws {
        func read(_ secret: String, _ credentials: [String: String]? = nil) throws -> Configuration {
            let text =
                #"{"installations": [{"app_id": "c", "app_secret": "\#(secret)", "workspace": "w", "agent": "a"}]}"#
            return try Configuration(
                parsing: Data(text.utf8), in: Surroundings(environment: [:], credentials: credentials),
                leavesOut: true)
        }
        let left = try read("credential:x")
        #expect(left.installations.map(\.appSecret) == [""])
        #expect(left.outOfReach.map(\.keyPath) == ["installations[0].app_secret"])
        for (secret, credentials) in [("env:NO", nil), ("file:/no/such", nil), ("credential:x", [:])]
            as [(String, [String: String]?)]
        {
            #expect(throws: ConfigurationError.self) { try read(secret, credentials) }
        }
        let path = try TemporaryFolder.make("secret") + "/s"
        try "s3cret\n".write(toFile: path, atomically: true, encoding: .utf8)
        let found = try read("credential:x", ["x": path])
        #expect(found.installations.map(\.appSecret) == ["s3cret"] && found.outOfReach.isEmpty)
    }

    @Test("check remarks that there is no bot, and that an agent is not among those that the file names")
    func remarks() throws {
        func keys(_ text: String) throws -> [String] {
            try Configuration(parsing: Data(text.utf8), environment: [:]).remarks.map { "\($0.key): \($0.problem)" }
        }
        #expect(try keys("{}").map { $0.hasPrefix("installations: the file names no bot") } == [true])
        let bot = #""installations": [{"app_id": "c", "app_secret": "s", "workspace": "w", "agent": "suport"}]"#
        #expect(try keys("{\(bot)}") == [])
        #expect(
            try keys(#"{"agents": [{"workspace": "w", "name": "support"}], \#(bot)}"#) == [
                "installations[0].agent: w/suport is not in agents; it will be made, with the runtime default"
            ])
    }
}
