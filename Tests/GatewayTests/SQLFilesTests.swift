import Foundation
import Testing

@testable import Gateway
@testable import Store

/// What keeps every function findable by its name.
@Suite("The files of SQL")
struct SQLFilesTests {
    private static let root =
        ((#filePath as NSString).deletingLastPathComponent as NSString).deletingLastPathComponent
        + "/../Sources/Store/SQL/"

    private func files(_ folder: String) throws -> [(path: String, name: String, text: String)] {
        try FileManager.default.subpathsOfDirectory(atPath: Self.root + folder).sorted()
            .filter { $0.hasSuffix(".sql") }
            .map { path in
                let name = ((path as NSString).lastPathComponent as NSString).deletingPathExtension
                return (
                    folder + "/" + path, name,
                    try String(contentsOfFile: Self.root + folder + "/" + path, encoding: .utf8)
                )
            }
    }

    /// Names of the functions that a text defines.
    private func defined(in text: String) -> [String] {
        text.matches(of: /(?m)^\s*CREATE\s+(?:OR\s+REPLACE\s+)?FUNCTION\s+(?:gateway\.)?(\w+)/.ignoresCase()).map {
            String($0.1)
        }
    }

    @Test("each function stands in one file of its name, which can be applied again, and is listed in GatewaySchema")
    func oneFileEach() throws {
        let files = try files("functions")
        for file in files {
            #expect(defined(in: file.text) == [file.name], "\(file.path)")
            #expect(file.text.hasPrefix("-- "), "\(file.path) begins with what the function promises")
            #expect(file.text.contains("CREATE OR REPLACE FUNCTION gateway.\(file.name)("), "\(file.path)")
            #expect(!file.text.contains("CREATE TRIGGER"), "\(file.path)")
        }
        #expect(files.map(\.name).sorted() == GatewaySchema.migrator.definitions.map(\.name).sorted())
        for definition in GatewaySchema.migrator.definitions {
            #expect(files.first { $0.name == definition.name }?.text == definition.sql)
        }
    }

    @Test("no migration and no table's file defines a function, and each migration is listed")
    func tablesOnly() throws {
        let migrations = try files("migrations")
        for file in try migrations + files("schema") {
            #expect(defined(in: file.text) == [], "\(file.path): functions stand in functions/SUBJECT/NAME.sql")
        }
        #expect(
            migrations.map(\.name)
                == GatewaySchema.migrator.migrations.map { String(format: "%03d_", $0.number) + $0.name })
    }

    @Test("no statement file only calls a function: that is a Statement.call")
    func statements() throws {
        for file in try files("statements") {
            let code = file.text.split(separator: "\n").filter { !$0.hasPrefix("--") }.joined(separator: " ")
            #expect(code.wholeMatch(of: /SELECT [\w, ]*FROM gateway\.\w+\([^()]*\)\s*/) == nil, "\(file.path)")
            #expect(code.wholeMatch(of: /SELECT gateway\.\w+\([^()]*\)( AS \w+)?\s*/) == nil, "\(file.path)")
        }
    }

    @Test("a changed function has a new revision: scripts/schema was run")
    func revision() throws {
        let recorded = try String(contentsOfFile: Self.root + "definitions.sum", encoding: .utf8)
        let expected = GatewaySchema.migrator.definitions.sorted { $0.name < $1.name }.map {
            "\($0.name) " + String(format: "%016llx", UInt64(bitPattern: $0.checksum))
        }
        let sums = recorded.split(separator: "\n").map(String.init)
        #expect(sums.first == "revision \(GatewaySchema.migrator.revision)")
        #expect(GatewaySchema.migrator.revision > 0)
        #expect(Array(sums.dropFirst()) == expected, "a function's text has changed: run scripts/schema")
    }

    @Test("no line of SQL is longer than 120 columns")
    func columns() throws {
        for folder in ["functions", "statements", "schema", "migrations"] {
            for file in try files(folder) {
                for (number, line) in file.text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
                    #expect(line.count <= 120, "\(file.path):\(number + 1)")
                }
            }
        }
    }
}
