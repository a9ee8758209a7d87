import AsyncRuntime
import Foundation

/// Whether the work of a function grows as its input does. Counted is the time of one thread on a processor, not what
/// passes meanwhile: other processes do not count. Eight times the input takes 8 times the time where the work is
/// linear, and 64 times where it is the square. Refused is what takes over 20 times, in each of several measurements:
/// also a square that is a third of the work at the smaller size.
package enum LinearWork {
    private static let leastNanoseconds = 200_000
    private static let mostBytes = 1 << 16
    private static let factor = 8
    private static let mostWork = 20.0

    /// Tries texts of every kind, on a thread of its own: other tests have the shared ones.
    /// - Parameter leastBytes: to begin with; more where something else than the text takes its time.
    /// - Parameter prepare: makes an input of so many bytes, of this kind of text; not counted.
    /// - Returns: what to say of the kinds for which it grows faster.
    package static func complaints<Input>(
        from leastBytes: Int = 1_024, _ prepare: @escaping @Sendable (OutsideText.Kind, Int) -> Input,
        _ work: @escaping @Sendable (Input) -> Void
    ) async -> [String] {
        await BlockingCall.run {
            let found = OutsideText.kinds.lazy.compactMap { kind in
                complaint(from: leastBytes, { prepare(kind, $0) }, work).map { "\(kind): \($0)" }
            }
            // What takes the square takes long.
            return Array(found.prefix(3))
        }
    }

    /// The same of an input that is no text.
    /// - Returns: nil: it grows as its input.
    package static func complaint<Input>(
        _ prepare: @escaping @Sendable (Int) -> Input, _ work: @escaping @Sendable (Input) -> Void
    ) async -> String? {
        await BlockingCall.run { complaint(from: 1_024, prepare, work) }
    }

    private static func complaint<Input>(
        from leastBytes: Int, _ prepare: (Int) -> Input, _ work: (Input) -> Void
    ) -> String? {
        var bytes = leastBytes
        var input = prepare(bytes)
        // Twice: the first time pays for what is made once.
        work(input)
        while bytes < mostBytes, time(input, work) < leastNanoseconds {
            bytes *= 2
            input = prepare(bytes)
        }
        let larger = prepare(bytes * factor)
        var ratio = 0.0
        for runs in [1, 3, 5, 5] {
            let small = (0..<runs).map { _ in time(input, work) }.min() ?? 0
            let large = (0..<runs).map { _ in time(larger, work) }.min() ?? 0
            // Too fast to be measured, at the largest size that is tried.
            if large < leastNanoseconds { return nil }
            ratio = Double(large) / Double(max(small, 1))
            if ratio <= mostWork { return nil }
        }
        return "\(factor) times \(bytes) bytes take \(Int(ratio.rounded())) times the work"
    }

    /// Nanoseconds.
    private static func time<Input>(_ input: Input, _ work: (Input) -> Void) -> Int {
        let began = now()
        work(input)
        return now() - began
    }

    private static func now() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }
}
