import AsyncRuntime
import Foundation
import Testing

/// Which random sequences are tried. A failure names its seed; LARK_GATEWAY_MODEL_SEED=N tries that one alone, and
/// LARK_GATEWAY_MODEL_SEEDS=N that many.
enum ModelSeeds {
    private static func number(_ name: String) -> Int? {
        ProcessInfo.processInfo.environment[name].flatMap { Int($0) }
    }

    static func seeds(_ count: Int) -> Range<Int> {
        if let one = number("LARK_GATEWAY_MODEL_SEED") { return one..<(one + 1) }
        return 0..<(number("LARK_GATEWAY_MODEL_SEEDS") ?? count)
    }

    /// Tries every seed, a few side by side, until one fails.
    static func tryAll(
        _ count: Int, sideBySide: Int = 1, _ body: @escaping @Sendable (Int, inout SeededGenerator) async throws -> Void
    ) async throws {
        let seeds = seeds(count)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<sideBySide {
                group.addTask {
                    for seed in stride(from: seeds.lowerBound + lane, to: seeds.upperBound, by: sideBySide) {
                        try Task.checkCancellation()
                        var random = SeededGenerator(seed: UInt64(seed))
                        do {
                            try await body(seed, &random)
                        } catch let error as Deviation {
                            throw Deviation("seed \(seed): \(error.description)")
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}

/// Where what happened is not what the model says.
struct Deviation: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }

    static func unless(_ condition: Bool, _ words: @autoclosure () -> String) throws {
        if !condition { throw Deviation(words()) }
    }
}

extension SeededGenerator {
    /// True once in `one` times.
    mutating func happens(oneIn one: Int) -> Bool { Int.random(in: 0..<one, using: &self) == 0 }

    mutating func pick<T>(_ values: [T]) -> T { values[Int.random(in: 0..<values.count, using: &self)] }
}
