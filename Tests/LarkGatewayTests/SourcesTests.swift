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

    /// What prints for itself: programs for who develops the gateway, on what they made themselves.
    private static let printing = [
        "Sources/FuzzTargets/LibFuzzer.swift", "Sources/Output/Terminal.swift",
        "Sources/websocket-conformance/WebSocketConformance.swift",
    ]

    @Test("S12: what the commands say goes through Terminal alone, which lets no hidden character pass")
    func printing() throws {
        let found = try sources().filter { !$0.path.hasPrefix("Sources/gateway-benchmark/") && Self.prints($0.text) }
        #expect(found.map(\.path) == Self.printing)
    }

    @Test(
        "what prints is found in code, and not in comments and names",
        arguments: [
            ("print(a)", true), ("        Swift.print(a)", true), ("x { debugPrint(a) }", true), ("dump(a)", true),
            ("FileHandle.standardError.write(data)", true), ("let out = FileHandle.standardOutput", true),
            ("fputs(a, stderr)", true), ("puts(a)", true), ("write(STDOUT_FILENO, a, 1)", true),
            ("write(2, a, 1)", true),
            ("NSLog(a)", true), ("perror(a)", true), ("// print(a)", false), ("fingerprint(a)", false),
            ("FileHandle.standardInput", false), ("write(22, a, 1)", false),
        ] as [(String, Bool)])
    func findingPrints(code: String, isFound: Bool) {
        #expect(Self.prints(code) == isFound)
    }

    private static func prints(_ text: String) -> Bool {
        text.split(separator: "\n").contains { line in
            let code = line.drop { $0 == " " }
            return !code.hasPrefix("//")
                && (code.contains(/(?:^|\W)(?:print|debugPrint|dump|f?puts|putchar|f?printf|NSLog|perror|syslog)\(/)
                    || code.contains(/FileHandle\.standard(?:Error|Output)|STD(?:OUT|ERR)_FILENO/)
                    || code.contains(/(?:^|\W)write\([12],/))
        }
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
