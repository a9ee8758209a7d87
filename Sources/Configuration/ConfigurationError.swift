/// What is wrong with a configuration: one mistake, or several.
package struct ConfigurationError: Error, Equatable, CustomStringConvertible {
    /// Where it is, what was found, what is expected.
    package struct Mistake: Sendable, Equatable, CustomStringConvertible {
        /// Such as `installations[1].app_secret`; empty for the file as a whole.
        package let keyPath: String
        package let problem: String
        /// The configuration may be right: what it names can't be read from here, or not by this user.
        package let isOutOfReach: Bool

        package var description: String { keyPath.isEmpty ? problem : "\(keyPath): \(problem)" }
    }

    /// How many are kept: a file of 4 MiB may have a million.
    static let mostListed = 50
    /// How many are told on one line.
    private static let mostOnALine = 10

    /// The first ones, in the order in which they were found; at least one.
    package private(set) var mistakes: [Mistake]
    /// How many more there are.
    package private(set) var rest = 0

    package init(keyPath: String, problem: String, isOutOfReach: Bool = false) {
        mistakes = [Mistake(keyPath: keyPath, problem: problem, isOutOfReach: isOutOfReach)]
    }

    /// Of the first mistake; so is `problem`.
    package var keyPath: String { mistakes[0].keyPath }
    package var problem: String { mistakes[0].problem }
    package var count: Int { mistakes.count + rest }

    /// On one line.
    package var description: String {
        let told = mistakes.prefix(Self.mostOnALine).map(\.description).joined(separator: "; ")
        return count > Self.mostOnALine ? "\(told); and \(count - Self.mostOnALine) more" : told
    }

    mutating func append(_ other: ConfigurationError) {
        let room = max(0, Self.mostListed - mistakes.count)
        mistakes += other.mistakes.prefix(room)
        rest += other.rest + max(0, other.mistakes.count - room)
    }

    mutating func countOneMore() { rest += 1 }

    /// - Returns: what is left without the mistakes for which `isLeftOut` is true, and these.
    func split(_ isLeftOut: (Mistake) -> Bool) -> (left: ConfigurationError?, leftOut: [Mistake]) {
        let leftOut = mistakes.filter(isLeftOut)
        var left = self
        left.mistakes.removeAll(where: isLeftOut)
        guard left.mistakes.isEmpty else { return (left, leftOut) }
        guard rest > 0 else { return (nil, leftOut) }
        // Of those that are not kept nobody knows what they are.
        return (self, [])
    }

    /// Of a file: what is wrong with it as a whole begins with its path.
    func named(_ path: String) -> ConfigurationError {
        var named = self
        named.mistakes = mistakes.map { mistake in
            guard mistake.keyPath.isEmpty else { return mistake }
            return Mistake(keyPath: "", problem: "\(path): \(mistake.problem)", isOutOfReach: mistake.isOutOfReach)
        }
        return named
    }
}

/// Mistakes as they are found, so that one does not hide the others.
struct MistakeList {
    private(set) var error: ConfigurationError?

    mutating func add(_ other: ConfigurationError) {
        if error == nil { error = other } else { error?.append(other) }
    }

    /// - Parameter make: not called where no more mistakes are kept.
    mutating func addOne(_ make: () -> ConfigurationError) {
        if let error, error.mistakes.count >= ConfigurationError.mostListed {
            self.error?.countOneMore()
        } else {
            add(make())
        }
    }

    /// - Returns: nil where `body` threw mistakes, which are here then.
    /// - Throws: any other error of `body`.
    @discardableResult
    mutating func collect<T>(_ body: () throws -> T) throws -> T? {
        do {
            return try body()
        } catch let error as ConfigurationError {
            add(error)
            return nil
        }
    }

    /// Whether a key of this name in the file, or one below it, has a mistake. Where not all are kept: yes.
    func concern(_ name: String) -> Bool {
        guard let error else { return false }
        return error.rest > 0
            || error.mistakes.contains { $0.keyPath.prefix { !".[".contains($0) } == name || $0.keyPath.isEmpty }
    }

    func throwIfAny() throws {
        if let error { throw error }
    }
}
