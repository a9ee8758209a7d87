import Foundation
import FuzzTargets
import Testing

/// What libFuzzer starts from, and what it has found, given to each target once more. A find ends the test process.
@Suite("Fuzzed parsers")
struct FuzzTargetsTests {
    private static let folder = (#filePath as NSString).deletingLastPathComponent

    private func files(_ kind: String, _ target: FuzzTarget) throws -> [String] {
        let path = "\(Self.folder)/\(kind)/\(target.rawValue)"
        guard FileManager.default.fileExists(atPath: path) else { return [] }
        return try FileManager.default.contentsOfDirectory(atPath: path).sorted().map { "\(path)/\($0)" }
    }

    @Test("what was found once, and where the search begins, breaks nothing", arguments: FuzzTarget.allCases)
    func known(target: FuzzTarget) throws {
        let seeds = try files("Corpus", target)
        #expect(!seeds.isEmpty)
        for path in seeds + (try files("Regressions", target)) {
            target.run(Array(try #require(FileManager.default.contents(atPath: path))))
        }
    }

    @Test("neither does any beginning of a seed, or a seed with a byte changed", arguments: FuzzTarget.allCases)
    func mutations(target: FuzzTarget) throws {
        var random = SystemRandomNumberGenerator()
        for path in try files("Corpus", target) {
            let seed = Array(try #require(FileManager.default.contents(atPath: path)))
            for _ in 0..<200 {
                var bytes = Array(seed.prefix(Int.random(in: 0...seed.count, using: &random)))
                if let index = bytes.indices.randomElement() { bytes[index] = .random(in: .min ... .max) }
                target.run(bytes)
            }
        }
    }
}
