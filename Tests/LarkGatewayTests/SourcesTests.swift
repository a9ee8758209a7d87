import Foundation
import Testing

@Suite("The sources")
struct SourcesTests {
    /// Where a regular expression may stand: what it reads comes from the operator, has a bound, and no two of its
    /// parts can take the same sign.
    private static let allowed = [
        "Sources/Configuration/JSONDocument.swift": "durations of the configuration; every quantifier has a bound",
        "Sources/Curl/NetworkSettings.swift": "names of files in the operator's folder of certificates",
    ]

    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private func sources() throws -> [(path: String, text: String)] {
        let folder = Self.root.appendingPathComponent("Sources")
        let paths = try FileManager.default.subpathsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".swift") }
        return try paths.sorted().map { path in
            ("Sources/\(path)", try String(contentsOf: folder.appendingPathComponent(path), encoding: .utf8))
        }
    }

    @Test("S1: no regular expression looks at what others write: for most there is a text that takes it the square")
    func regularExpressions() throws {
        let sources = try sources()
        #expect(sources.count > 100)
        let found = sources.filter { Self.hasRegularExpression($0.text) }
        #expect(found.map(\.path) == Self.allowed.keys.sorted())
    }

    @Test(
        "they are found in code, and not in comments, texts and divisions",
        arguments: [
            ("let a = /b+/", true), ("x.contains(/a/)", true), ("f(1, /a b/)", true), ("let a = #/b/#", true),
            ("try Regex(text)", true), ("NSRegularExpression(pattern: p)", true), ("import RegexBuilder", true),
            ("text.range(of: p, options: .regularExpression)", true), ("let a = b / c / d", false),
            ("    // a (/b/)", false), ("/// (/a/)", false), ("\"\"\"\n /b/\n\"\"\"", false),
            ("\"\"\"\n /b/\n\"\"\"\nf(/b/)", true), ("f(\"/b/\")", false), ("a /= b", false),
        ] as [(String, Bool)])
    func finding(code: String, isFound: Bool) {
        #expect(Self.hasRegularExpression(code) == isFound)
    }

    /// A literal stands where an operand may, and begins with no space. What stands in a text of one or of several
    /// lines is no code.
    private static func hasRegularExpression(_ text: String) -> Bool {
        var isInText = false
        return text.split(separator: "\n").contains { line in
            let code = line.drop { $0 == " " }
            let wasInText = isInText
            if code.ranges(of: "\"\"\"").count % 2 == 1 { isInText.toggle() }
            guard !code.hasPrefix("//"), !wasInText else { return false }
            let bare = code.replacing(/"(?:[^"\\]|\\.)*"/, with: "\"\"")
            return bare.contains(/(?:^|[\s(\[{,:=!&|?])#*\/[^\s\/*=]/)
                || bare.contains(/Regex|NSRegularExpression|regularExpression/)
        }
    }
}
