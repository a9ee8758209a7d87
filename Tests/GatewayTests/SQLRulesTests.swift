import Foundation
import TestSupport
import Testing

/// No text of others becomes SQL.
@Suite("SQL is constant")
struct SQLRulesTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private func files(_ folder: String, _ ending: String) throws -> [(path: String, text: String)] {
        let url = Self.root.appendingPathComponent(folder)
        let paths = try FileManager.default.subpathsOfDirectory(atPath: url.path).filter { $0.hasSuffix(ending) }
        return try paths.sorted().map { path in
            ("\(folder)/\(path)", try String(contentsOf: url.appendingPathComponent(path), encoding: .utf8))
        }
    }

    /// Functions that make SQL: names of roles can't be parameters of GRANT. A role's name alone is put in, quoted.
    private static let dynamic = ["grant_operator_rights", "grant_worker_functions", "revoke_worker_functions"]

    @Test(
        "functions, statements and tables make no SQL out of texts, but for GRANT and REVOKE, which quote a role's name"
    )
    func functions() throws {
        let files = try files("Sources/Store/SQL", ".sql")
        #expect(files.count > 100)
        var found: [String] = []
        for (path, text) in files {
            let code = Self.withoutComments(text)
            guard code.contains(/\bEXECUTE\b(?!\s+(?:FUNCTION|PROCEDURE|ON)\b)/.ignoresCase()) else { continue }
            found.append(((path as NSString).lastPathComponent as NSString).deletingPathExtension)
            #expect(!code.contains("||") && !code.contains(/%[^I]/), "\(path): only %I")
            #expect(code.contains(/EXECUTE format\('/) && !code.contains(/EXECUTE (?!format\('|ON )/), "\(path)")
        }
        #expect(found.sorted() == Self.dynamic)
    }

    private static func withoutComments(_ sql: String) -> String {
        sql.split(separator: "\n").map { line in line.firstRange(of: "--").map { line[..<$0.lowerBound] } ?? line[...] }
            .joined(separator: "\n")
    }

    /// Where something is put into SQL, and why that is a constant.
    private static let allowed = [
        "Sources/Postgres/Listener.swift": "names of channels: Notifications.Channel",
        "Sources/Postgres/Migrations/MigrationSession.swift": "the schema's name, and a lock timeout",
        "Sources/Postgres/ServerRoles.swift": "the names of the private server's database and roles",
        "Sources/Postgres/Statement.swift": "names of functions, columns and the schema",
        "Sources/Postgres/StatementLogging.swift": "names of the server's settings",
        "Sources/Store/Schema/SchemaAccess.swift": "what a person is told to type, with names that the server quoted",
    ]

    @Test("the program puts nothing into the text of a statement but constants: values are parameters")
    func program() throws {
        let folders = ["Store", "Postgres", "Gateway", "Worker", "lark-gateway", "Configuration"]
        let sources = try folders.flatMap { try files("Sources/\($0)", ".swift") }
            // The demonstration counts the rows of tables that it names itself.
            .filter { !$0.path.hasPrefix("Sources/lark-gateway/Demo/") }
        #expect(sources.count > 100)
        #expect(sources.filter { Self.putsIntoSQL($0.text) }.map(\.path).sorted() == Self.allowed.keys.sorted())
    }

    @Test(
        "what is put into SQL is found, in one line and in several",
        arguments: [
            (#"sql: "SELECT \(a)""#, true), (#"run("LISTEN \(a)")"#, true), (#"run("SET a = '" + b)"#, true),
            ("\"\"\"\n    UPDATE t SET a = \\(b)\n    \"\"\"", true), (#"log("selected \(a)")"#, false),
            (#"sql: "SELECT $1""#, false), ("// \"SELECT \\(a)\"", false), (#"throw E("SELECT: \(a)")"#, false),
        ] as [(String, Bool)])
    func finding(code: String, isFound: Bool) {
        #expect(Self.putsIntoSQL(code) == isFound)
    }

    /// A literal that begins with a word of SQL in capitals, and has an interpolation or another text behind it.
    private static func putsIntoSQL(_ text: String) -> Bool {
        let words =
            "SELECT|INSERT INTO|UPDATE|DELETE FROM|LISTEN|NOTIFY|CREATE|DROP|ALTER|GRANT|REVOKE|SET|TRUNCATE|WITH"
        guard let line = try? Regex(#""(?:\#(words)) (?:[^"\\]|\\[^(])*(?:\\\(|"\s*\+)"#),
            let lines = try? Regex(#""""\s*(?:\#(words)) (?:[^"\\]|\\[^(])*\\\("#)
        else { return true }
        let code = text.split(separator: "\n").filter { !$0.drop { $0 == " " }.hasPrefix("//") }.joined(separator: "\n")
        return code.contains(line) || code.contains(lines)
    }
}
