/// `demo`: tells the story of a burst as it happens, and checks each fact.
enum DemoCommand {
    static func run(_ words: [String]) async throws -> Int32 {
        try Arguments(words, known: []).refusePositional()
        return try await Demo.run() ? ExitCode.done : ExitCode.failed
    }
}
