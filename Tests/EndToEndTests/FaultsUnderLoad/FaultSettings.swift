import Foundation

/// How much of the fault suite runs: a short form by default; `scripts/faults` asks for more.
enum FaultSettings {
    private static func number(_ name: String) -> Int? {
        ProcessInfo.processInfo.environment["LARK_GATEWAY_FAULTS_\(name)"].flatMap { Int($0) }
    }

    static let isFull = number("FULL") == 1

    /// A line for who watches, on stderr.
    static func report(_ line: String) {
        FileHandle.standardError.write(Data("fault \(line)\n".utf8))
    }

    /// Of a fault that wants `full` rounds in the full form.
    static func rounds(full: Int) -> Int {
        number("ROUNDS") ?? (isFull ? full : 2)
    }

    /// What happens when follows from it, as far as it is ours.
    static let seed = UInt64(number("SEED") ?? Int.random(in: 1...999_999))
}
