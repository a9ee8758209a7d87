enum Demo {
    static func run() async throws -> Bool { false }
}
